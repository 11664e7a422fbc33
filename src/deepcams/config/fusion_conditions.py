"""What keys of the section `fusion` mean together."""

from deepcams.config.networks import FUSION_BACKGROUNDS, FUSION_TRAINING, fusion_room
from deepcams.grid.nodes import Region, region_problems


def fusion_patch_fits(patch: int | None, region: dict | None) -> list[str]:
    """Training patches fit into the region with its halo."""
    if region is not None and region_problems(Region(**region)):
        return []
    room = fusion_room(region)
    if patch is not None and patch > room:
        return [
            f"fusion.training.patch: {patch} given; allowed: up to {room} nodes, which the region with its halo has. "
            "Or enlarge the region."
        ]
    return []


def backgrounds_fit(background: str | None, compare: list[str], recipe: str) -> list[str]:
    """The paper's network knows no background; one that is configured is not compared with itself."""
    chosen = FUSION_BACKGROUNDS[recipe] if background is None else background
    if recipe != "corrected":
        wrong = [name for name in (chosen, *compare) if name != "none"]
        if wrong:
            path = "fusion.background" if chosen != "none" else "fusion.compare"
            return [
                f"{path}: {wrong[0]} given; allowed with the recipe {recipe}, whose network has no background: none"
            ]
    if chosen in compare:
        return [f"fusion.compare: {chosen} given; it is the configured background already. Leave it out here."]
    return []


def fusion_batch_shared_out(processes: int, batch_size: int | None) -> list[str]:
    """Every process gets as many examples of a batch."""
    size = FUSION_TRAINING["batch_size"] if batch_size is None else batch_size
    if size % processes == 0:
        return []
    fitting = ", ".join(str(number) for number in range(1, 65) if size % number == 0)
    return [
        f"fusion.training.processes: {processes} given; allowed for batches of {size} patches: {fitting}. Or make "
        "fusion.training.batch_size a multiple."
    ]
