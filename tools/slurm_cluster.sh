#!/bin/sh
# A SLURM cluster of one node on this machine, with a pretend GPU, to try the profile on: root only, loopback only.
#     tools/slurm_cluster.sh start DIR    and run the line that it prints
#     tools/slurm_cluster.sh stop DIR
# Settings, state, logs and sockets stay in DIR. Two partitions, cpu (the default) and gpu; no accounting.
# Ends with 3 where no cluster can be: not root, or no SLURM; with 1 if one could be and does not come up.
# Debian: apt-get install --no-install-recommends slurmctld slurmd slurm-client munge
set -eu

usage() {
    echo "usage: tools/slurm_cluster.sh start|stop DIR" >&2
    exit 2
}

[ $# = 2 ] || usage
action=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd)
export SLURM_CONF="$dir/slurm.conf"

refuse() {
    echo "$1" >&2
    exit 3
}

fail() {
    echo "$1" >&2
    exit 1
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# A daemon's log is shown if the cluster does not come up.
wait_for() {
    for _ in $(seq 150); do
        "$@" > /dev/null 2>&1 && return
        sleep 0.1
    done
    tail -n 20 "$dir"/log/*.log >&2 || : # they may have got as far as no log
    stop
    fail "The cluster in $dir did not come up; its logs are above."
}

is_idle() {
    [ "$(sinfo --noheader --partition cpu --format %t)" = idle ]
}

stop() {
    [ -e "$SLURM_CONF" ] || fail "$dir is no folder of a cluster that was started here."
    for daemon in slurmd slurmctld munged; do
        [ -s "$dir/run/$daemon.pid" ] || continue
        process=$(cat "$dir/run/$daemon.pid")
        [ "$(cat "/proc/$process/comm" 2> /dev/null)" = "$daemon" ] || continue # the number may be another's by now
        kill "$process" 2> /dev/null || continue
        for _ in $(seq 50); do
            kill -0 "$process" 2> /dev/null || break
            sleep 0.1
        done
        kill -9 "$process" 2> /dev/null || :
    done
    rm -rf "$dir/run"
}

start() {
    [ "$(id -u)" = 0 ] || refuse "Only root can start a cluster here: slurmd and munged want it."
    for command in munged slurmctld slurmd sbatch squeue; do
        command -v $command > /dev/null || refuse "$command is missing: install slurmctld, slurmd, slurm-client and munge."
    done
    [ ${#dir} -le 60 ] || fail "$dir is too long a path for sockets: choose one of at most 60 bytes."
    [ ! -e "$dir" ] || [ -z "$(ls -A "$dir")" ] || [ -e "$SLURM_CONF" ] || fail "$dir holds other things: name an empty folder."
    [ ! -e "$dir/run/slurmctld.pid" ] || fail "A cluster runs in $dir already; stop it first."
    rm -rf "$dir/state" "$dir/spool" "$dir/log"
    mkdir -p "$dir/run" "$dir/state" "$dir/spool" "$dir/log" "$dir/bin"
    chmod 755 "$dir" "$dir/run"

    head -c 1024 /dev/urandom > "$dir/run/munge.key"
    chmod 600 "$dir/run/munge.key"
    host=$(hostname -s)
    memory=$(awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo)
    cat > "$SLURM_CONF" << END
ClusterName=pretend
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
SlurmUser=root
AuthType=auth/munge
# A requeued job waits as long as credentials are valid, by default two minutes.
AuthInfo=socket=$dir/run/munge.socket,cred_expire=10
CredType=cred/munge
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/run/slurmctld.pid
SlurmdPidFile=$dir/run/slurmd.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=2,bf_interval=2
# Cores are pretended, so that any machine can show several jobs at a time.
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
MinJobAge=86400
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 CPUs=4 RealMemory=$memory Gres=gpu:1 State=UNKNOWN
PartitionName=cpu Nodes=$host Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=$host MaxTime=INFINITE State=UP
END
    echo "NodeName=$host Name=gpu File=/dev/null" > "$dir/gres.conf"

    # The executor takes SLURM_CONF from what it starts within a job; this srun knows it.
    printf '#!/bin/sh\nSLURM_CONF=%s exec %s "$@"\n' "$SLURM_CONF" "$(command -v srun)" > "$dir/bin/srun"
    chmod +x "$dir/bin/srun"

    munged --key-file="$dir/run/munge.key" --socket="$dir/run/munge.socket" --pid-file="$dir/run/munged.pid" \
        --log-file="$dir/log/munged.log" --seed-file="$dir/run/munge.seed" --force
    slurmctld -c
    slurmd
    wait_for is_idle
    echo "export SLURM_CONF=$SLURM_CONF PATH=$dir/bin:\$PATH"
}

case $action in
start) start ;;
stop) stop ;;
*) usage ;;
esac
