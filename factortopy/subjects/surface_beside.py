"""fsaverage's surfaces that lie beside a data set: used to draw it and for the encoder's coordinates, and remembered."""

from factortopy.errors import InputError
from factortopy.formats.problems import WARNING, Problem
from factortopy.surfaces.mesh_folders import remember, surfaces_in
from factortopy.surfaces.meshes import load_mesh
from factortopy.wording import shown_path


def add_surface(subject, *folders):
    """Give a subject fsaverage's surfaces from the first folder that holds them (itself, or as FreeSurfer and NSD lay it out).

    Sets ``subject.surface``, says so in its notes, and remembers the place for drawing. Damaged ones are left out with a
    warning. At 10k fsaverage5 is used as it ships.
    """
    if subject.density == "10k":
        return
    place = next(filter(None, (surfaces_in(folder, subject.density) for folder in folders)), None)
    if place is None:
        return
    try:
        mesh = load_mesh(subject.density, place)
        remember(place)
    except InputError as error:
        words = f"{error}; until then a preview is drawn"
        subject.warnings.append(Problem(WARNING, shown_path(place), "", words, ""))
        return
    subject.surface = str(place)
    subject.remark(f"surfaces and the encoder's coordinates: {mesh.source}")
