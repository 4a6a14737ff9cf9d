"""A rendered sample set: turned flange rings on a conveyor belt, with and without defects, deterministic by seed.

part      geometry: signed distances, heights          light    highlights of turned metal
belt      the ground, which scrolls                    scene    pose, light and camera → a picture
defects   changes of a surface, placed by `place`      render   a picture and its mask; `write` makes a data set
"""

from aand_edge.data.sample.defects import DEFECTS
from aand_edge.data.sample.render import render_part
from aand_edge.data.sample.scene import Scene, draw_scene, expose
from aand_edge.data.sample.write import check_vacant, write_sample_set

__all__ = ["DEFECTS", "Scene", "check_vacant", "draw_scene", "expose", "render_part", "write_sample_set"]
