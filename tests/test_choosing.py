"""Which epochs a training keeps, and how long one goes on that has no dev to tell."""

from sertool.train import choosing
from sertool.train.training_settings import Settings


def history(*uars: float) -> list[dict]:
    return [{"dev_uar": uar, "dev_loss": 0.0, "loss": 0.0} for uar in uars]


def test_course_takes_median_epochs_and_median_plateau_learning_rate_shares() -> None:
    settings = Settings(schedule="plateau", plateau_patience=0, plateau_factor=0.5)
    early, late = history(0.5, 0.1, 0.1, 0.1), history(0.1, 0.2, 0.3, 0.4)
    assert choosing.course([late], settings) == (1, 1, 1, 1)
    assert choosing.course([early], settings) == (1,)
    assert choosing.course([early, late, history(0.1, 0.1, 0.3)], settings) == (1, 1, 0.5)
    assert len(choosing.course([early, late], settings)) == 4  # of two, the later: fewer might not be enough
