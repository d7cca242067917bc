"""A parametric renderer of faces: people, scenes, and pictures of both with exact labels."""

from identity_masker.faces.render.drawing import Rendered, draw, draw_as, draw_on, paint_whole

__all__ = ["Rendered", "draw", "draw_as", "draw_on", "paint_whole"]
