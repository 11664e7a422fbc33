"""OpenAQ on loopback: the API v3, the buckets (for faults), moto filled from a folder, a slow bucket for measuring."""

import asyncio
import csv
import gzip
import hashlib
import io
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.standins.server import Answer, Request, Server

ARCHIVE, FETCHES = "openaq-data-archive", "openaq-fetches"
HEADER = ["location_id", "sensors_id", "location", "datetime", "lat", "lon", "parameter", "units", "value"]
_GMT = "Fri, 01 Jan 2021 00:00:00 GMT"
_PAGE = 1000  # keys of a listing


class Api:
    """API v3 below /v3: locations by parameter and box, page by page, and the sensors of one. `answer` is for Server.

    key : the one that is accepted.  rate : requests that are left before 429.  echo : whether answers repeat the key.
    """

    def __init__(self, locations: list[dict], key: str, rate: int = 10_000, reset: float = 0.05, echo: bool = False):
        self.locations, self.key, self.rate, self.reset, self.echo = locations, key, rate, reset, echo

    def answer(self, request: Request) -> Answer:
        given = {name.lower(): value for name, value in request.headers.items()}.get("x-api-key")
        if given != self.key:
            return _json(401, {"message": "Unauthorized. A valid API key must be provided in the X-API-Key header."})
        self.rate -= 1
        headers = {"x-ratelimit-limit": "60", "x-ratelimit-remaining": str(max(self.rate, 0))}
        headers |= {"x-ratelimit-used": "1", "x-ratelimit-reset": f"{self.reset:g}"}
        if self.rate < 0:
            self.rate = 10_000
            return _json(429, {"detail": "Too many requests"}, headers)
        if not request.path.startswith("/v3/"):
            gone = "Gone. Version 1 and Version 2 API endpoints are retired and no longer available."
            return _json(410, {"message": gone}, headers)
        sensors = re.fullmatch(r"/v3/locations/(\d+)/sensors", request.path)
        if sensors:
            found = [sensor for it in self.locations if it["id"] == int(sensors.group(1)) for sensor in it["sensors"]]
            return _json(200, self._page(found, 100, 1), headers)
        if request.path != "/v3/locations":
            return _json(404, {"detail": "Not Found"}, headers)
        query = {name: values[0] for name, values in request.query.items()}
        limit, page = int(query.get("limit", 100)), int(query.get("page", 1))
        if not 1 <= limit <= 1000 or page < 1:
            return _json(422, "[{'loc': ('query', 'limit'), 'msg': 'must be less than or equal to 1000'}]", headers)
        chosen = [it for it in self.locations if _is_chosen(it, query)]
        # The list does not have the sensors' coverage.
        bare = [
            it | {"sensors": [{k: v for k, v in s.items() if k != "coverage"} for s in it["sensors"]]} for it in chosen
        ]
        return _json(200, self._page(bare[(page - 1) * limit : page * limit], limit, page), headers)

    def _page(self, results: list[dict], limit: int, page: int) -> dict:
        found = f">{limit}" if len(results) == limit else len(results)
        meta = {"name": "openaq-api", "website": "/", "page": page, "limit": limit, "found": found}
        return {"meta": meta | ({"key": self.key} if self.echo else {}), "results": results}


def _is_chosen(location: dict, query: dict[str, str]) -> bool:
    if "parameters_id" in query:
        wanted = {int(number) for number in query["parameters_id"].split(",")}
        if not wanted & {sensor["parameter"]["id"] for sensor in location["sensors"]}:
            return False
    if "bbox" in query:
        west, south, east, north = map(float, query["bbox"].split(","))
        place = location["coordinates"]
        return west <= place["longitude"] <= east and south <= place["latitude"] <= north
    return True


def _json(status: int, content: object, headers: dict | None = None) -> Answer:
    return Answer(status, json.dumps(content).encode(), {"Content-Type": "application/json", **(headers or {})})


class Buckets:
    """Buckets that speak S3, anonymous and read-only. objects : "bucket/key" → content. `answer` is for Server."""

    def __init__(self, objects: dict[str, bytes]):
        self.objects = objects

    def answer(self, request: Request) -> Answer:
        bucket, _, key = unquote(request.path).lstrip("/").partition("/")
        if key:
            content = self.objects.get(f"{bucket}/{key}")
            return (
                s3_error(404, "NoSuchKey", "The specified key does not exist.") if content is None else _object(content)
            )
        if not any(name.startswith(f"{bucket}/") for name in self.objects):
            return s3_error(404, "NoSuchBucket", "The specified bucket does not exist")
        query = {name: values[0] for name, values in request.query.items()}
        mine = {
            name.partition("/")[2]: content for name, content in self.objects.items() if name.startswith(f"{bucket}/")
        }
        return Answer(200, listing(bucket, mine, query), {"Content-Type": "application/xml"})


def listing(bucket: str, objects: dict[str, bytes], query: dict[str, str]) -> bytes:
    """What ListObjectsV2 answers."""
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
    after = query.get("continuation-token") or query.get("start-after") or ""
    keys, folders = [], []
    for key in sorted(objects):
        rest = key.removeprefix(prefix)
        if key.startswith(prefix):
            if delimiter and delimiter in rest:
                folder = prefix + rest.partition(delimiter)[0] + delimiter
                if folder > after and folder not in folders[-1:]:
                    folders.append(folder)
            elif key > after:
                keys.append(key)
    entries = sorted([(key, False) for key in keys] + [(folder, True) for folder in folders])
    page, rest = entries[:_PAGE], entries[_PAGE:]
    text = "".join(
        f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>"
        if is_folder
        else f"<Contents><Key>{escape(name)}</Key><LastModified>2021-01-01T00:00:00.000Z</LastModified>"
        f"<ETag>&quot;{md5(objects[name])}&quot;</ETag><Size>{len(objects[name])}</Size></Contents>"
        for name, is_folder in page
    )
    more = f"<NextContinuationToken>{escape(page[-1][0])}</NextContinuationToken>" if rest else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>{bucket}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(page)}</KeyCount><MaxKeys>{_PAGE}</MaxKeys>"
        f"<IsTruncated>{str(bool(rest)).lower()}</IsTruncated>{more}{text}</ListBucketResult>"
    ).encode()


def s3_error(status: int, code: str, message: str) -> Answer:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Answer(status, text.encode(), {"Content-Type": "application/xml"})


SLOW_DOWN = s3_error(503, "SlowDown", "Please reduce your request rate.")


def _object(content: bytes) -> Answer:
    return Answer(
        200, content, {"ETag": f'"{md5(content)}"', "Last-Modified": _GMT, "Content-Type": "binary/octet-stream"}
    )


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def files_below(root: Path, folder: str) -> dict[str, bytes]:
    """Files of a folder of `root` by their path from there: for instance records/ of the nature run's openaq/."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted((root / folder).rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


@contextmanager
def moto(objects: dict[str, bytes]) -> Iterator[str]:
    """moto's S3 with `objects` ("bucket/key" → content); yields its address."""
    import boto3
    from botocore.config import Config
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        url = "http://{}:{}".format(*server.get_host_and_port())
        client = boto3.client(
            "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test",
            config=Config(s3={"addressing_style": "path"}),
        )  # fmt: skip
        for bucket in {name.partition("/")[0] for name in objects}:
            client.create_bucket(Bucket=bucket, ACL="public-read")
        for name, content in objects.items():
            bucket, _, key = name.partition("/")
            client.put_object(Bucket=bucket, Key=key, Body=content)
        client.close()
        yield url
    finally:
        server.stop()


@contextmanager
def nature_run(root: Path, key: str) -> Iterator[tuple[str, str]]:
    """The archive and the API, both from the nature run's folder openaq/; yields both addresses."""
    objects = {f"{ARCHIVE}/{name}": content for name, content in files_below(root, "records").items()}
    locations = json.loads((root / "locations.json").read_text(encoding="utf-8"))["results"]
    with Server(Buckets(objects).answer) as buckets, Server(Api(locations, key).answer) as api:
        yield buckets.url, f"{api.url}/v3"


def day_file(number: int, day: str, offset: str = "+00:00", values=range(24), header=HEADER, **changes) -> bytes:
    """The file of a station and a local day, its stamps at 00:00 … 23:00 of it with `offset`."""
    row = {"lat": 28.67, "lon": 77.13, "parameter": "pm25", "units": "µg/m³"} | changes
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(header)
    for hour, value in enumerate(values):
        stamp = f"{day}T{hour:02d}:00:00{offset}"
        place = [row["lat"], row["lon"], row["parameter"], row["units"]]
        writer.writerow([number, 10 * number, f"Station-{number}", stamp, *place, value])
    return gzip.compress(text.getvalue().encode(), mtime=0)


def day_key(number: int, day: str) -> str:
    """The key of a day's file, with its bucket."""
    year, month, _ = day.split("-")
    folder = f"{ARCHIVE}/records/csv.gz/locationid={number}/year={year}/month={month}"
    return f"{folder}/location-{number}-{day.replace('-', '')}.csv.gz"


async def slow_bucket(make: Callable[[str], bytes | None], keys: Callable[[str], list[str]], latency: float) -> None:
    """A bucket that answers each request after `latency` seconds, thousands at once; prints its address, runs for ever.

    make : content by "bucket/key".  keys : all keys below a prefix.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                parts = urlsplit(head.split(b" ", 2)[1].decode())
                await asyncio.sleep(latency)
                name = unquote(parts.path).lstrip("/")
                if "/" in name:
                    content = make(name)
                    status, kind = ("200 OK" if content else "404 Not Found"), "binary/octet-stream"
                    content = content or b"<Error><Code>NoSuchKey</Code></Error>"
                else:
                    query = {key: values[0] for key, values in parse_qs(parts.query).items()}
                    objects = {key: make(f"{name}/{key}") for key in keys(query.get("prefix", ""))}
                    status, kind, content = "200 OK", "application/xml", listing(name, objects, query)
                lines = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n"
                writer.write(f'{lines}Last-Modified: {_GMT}\r\nETag: "{md5(content)}"\r\n\r\n'.encode() + content)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main() -> None:
    """`python -m tests.standins.openaq STATIONS DAY,DAY,… LATENCY`: a slow archive of as many stations and days."""
    count, days, latency = int(sys.argv[1]), sys.argv[2].split(","), float(sys.argv[3])
    contents = {day: day_file(1, day) for day in days}
    names = {day_key(number, day): contents[day] for number in range(1, count + 1) for day in days}

    def keys(prefix: str) -> list[str]:
        found = re.fullmatch(r"records/csv\.gz/locationid=(\d+)/year=(\d+)/month=(\d+)/", prefix)
        if not found:
            return [name.partition("/")[2] for name in names if name.partition("/")[2].startswith(prefix)]
        number, start = int(found.group(1)), f"{found.group(2)}-{found.group(3)}"
        return [day_key(number, day).partition("/")[2] for day in days if day.startswith(start) and number <= count]

    asyncio.run(slow_bucket(names.get, keys, latency))


if __name__ == "__main__":
    main()
