"""HTML built from text that is escaped unless it says that it is HTML."""

from html import escape

_VOID = frozenset({"br", "img", "meta"})


class Html(str):
    """Text that is HTML already; any other text gets escaped by ``tag``."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: str) -> Html:
    """Return an element with its children and attributes, all text escaped.

    Args:
        name: The element, such as ``td``.
        children: Its content; only ``Html`` is taken as it is.
        attributes: By name; a trailing underscore (``class_``) is dropped and
            others become dashes.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(value)}"'
        for key, value in attributes.items()
    )
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: str) -> Html:
    """Return the children one after the other; only ``Html`` is not escaped."""
    return Html("".join(c if isinstance(c, Html) else text(c) for c in children))


def text(value: str) -> Html:
    """Return any text, a hostile file name included, as harmless HTML."""
    # File names may carry stray bytes, which Python keeps as lone surrogates.
    return Html(escape(value.encode("utf-8", "replace").decode()))
