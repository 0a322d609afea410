"""What weights were trained on, and their terms, go on with them."""

from dataclasses import replace

from tinypose.metadata import Metadata, read_metadata
from tinypose.origin import join_data, join_licences
from tinypose.skeletons import COCO
from tinypose.weights import shipped_weights

SMALL = read_metadata(shipped_weights()["small"])
SMALL_DATA = "small: " + "; ".join(SMALL.training_data)
SMALL_TERMS = f"derived from small: {SMALL.licence}"


def made_from(*sources: Metadata, name: str, data: tuple[str, ...]) -> Metadata:
    """Return the metadata of a run, as the trainer writes them."""
    origins = tuple(origin for source in sources for origin in source.as_origins())
    return Metadata(
        name=name,
        family="conv_hourglass",
        skeleton=COCO,
        input_hw=(64, 48),
        output="heatmaps",
        heatmap_hw=(16, 12),
        sigma_cells=1.0,
        refinement="dark",
        training_data=join_data(data, origins),
        licence=join_licences("not stated", origins),
        origins=origins,
    )


def test_two_generations_name_each_source_once() -> None:
    first = made_from(SMALL, name="first", data=("coco",))
    assert first.training_data == (SMALL_DATA, "coco")
    assert first.licence == SMALL_TERMS
    second = made_from(first, name="second", data=("coco", "lsp 1-9"))
    assert second.training_data == (SMALL_DATA, "first: coco", "coco", "lsp 1-9")
    assert second.licence == SMALL_TERMS


def test_a_network_that_is_trained_again_and_again_does_not_grow() -> None:
    latest = made_from(SMALL, name="week 0", data=("coco",))
    for week in range(1, 5):
        latest = made_from(latest, name=f"week {week}", data=("coco",))
    assert latest.training_data == (
        SMALL_DATA,
        "week 0, week 1, ..., week 3: coco",
        "coco",
    )
    assert len(latest.origins) == 2


def test_models_of_which_little_is_known_are_not_taken_for_one() -> None:
    hands = made_from(name="hands", data=("coco",))
    faces = made_from(name="faces", data=("coco",))
    both = made_from(hands, faces, name="both", data=("lsp",))
    assert both.training_data == ("hands: coco", "faces: coco", "lsp")
    unknown = [made_from(name=name, data=()) for name in ("a", "b")]
    taught = made_from(*unknown, name="taught", data=("lsp",))
    assert taught.training_data == ("a: not stated", "b: not stated", "lsp")


def test_own_terms_stand_beside_those_of_the_origins() -> None:
    first = made_from(SMALL, name="first", data=("coco",)).with_licence("CC0")
    assert first.licence == f"CC0; {SMALL_TERMS}"
    # Other terms take the place of its own alone.
    assert first.with_licence("MIT").licence == f"MIT; {SMALL_TERMS}"
    second = made_from(first, name="second", data=("coco",))
    assert second.licence == f"{SMALL_TERMS}; derived from first: CC0"
    alone = made_from(name="alone", data=("coco",))
    assert alone.licence == "not stated"
    assert alone.with_licence("CC0").licence == "CC0"


def test_origins_travel_with_the_metadata() -> None:
    first = made_from(SMALL, name="first", data=("coco",))
    value = first.to_dict()
    assert Metadata.from_dict(value, "test") == first
    # Files of before there were origins.
    del value["origins"]
    assert Metadata.from_dict(value, "test") == replace(first, origins=())
