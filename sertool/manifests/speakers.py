"""Find speaker names that several people seem to share, and those that seem to be of one person."""

from collections import defaultdict

import numpy as np

from sertool.manifests import manifest
from sertool.manifests.manifest import Table
from sertool.numeric.codes import crossed
from sertool.system import talk
from sertool.system.files import listed

YEARS = 5  # that a speaker may age within a corpus


def warn_of_several_in_one(table: Table) -> None:
    """Warn of speakers whose clips contradict each other in sex or age: several people may share the name."""
    for what, speakers in (("several sexes", _sexes(table)), ("ages far apart", _ages(table))):
        if speakers:
            examples = listed([f"{speaker} ({facts})" for speaker, facts in speakers.items()], 3)
            count = talk.counted(len(speakers), "speaker")
            talk.warn(f"{count} of {what}, so perhaps several people of one name: {examples}")


def warn_of_like_names(table: Table) -> None:
    """Warn of names that differ only by case: one speaker may then be in several parts."""
    alike = defaultdict(list)
    for name in manifest.present(table, "speaker"):
        alike[name.casefold()].append(name)
    if both := [" and ".join(sorted(names)) for names in alike.values() if len(names) > 1]:
        talk.warn(f"speakers whose names differ only by case are taken for different people: {listed(sorted(both), 3)}")


def _sexes(table: Table) -> dict[str, str]:
    """Return speakers with more than one sex, and the sexes."""
    speaker, sex = manifest.codes(table, "speaker"), manifest.codes(table, "sex")
    has = crossed(speaker.index, sex.index, (len(speaker.values), len(sex.values))) > 0
    several = np.flatnonzero(has.sum(axis=1) > 1).tolist()
    return {
        str(speaker.values[who]): " and ".join(sorted(str(sex.values[at]) for at in np.flatnonzero(has[who]).tolist()))
        for who in several
    }


def _ages(table: Table) -> dict[str, str]:
    """Return speakers whose ages differ too much, with the least and the greatest."""
    if "age" not in table.column_names:
        return {}
    speaker, age = manifest.codes(table, "speaker"), table.column("age").to_numpy().astype(np.float64)
    is_known = (speaker.index >= 0) & ~np.isnan(age)
    least, most = np.full(len(speaker.values), np.inf), np.full(len(speaker.values), -np.inf)
    np.minimum.at(least, speaker.index[is_known], age[is_known])
    np.maximum.at(most, speaker.index[is_known], age[is_known])
    apart = np.flatnonzero(most - least > YEARS)
    return {str(speaker.values[place]): f"{least[place]:.0f} to {most[place]:.0f}" for place in apart.tolist()}
