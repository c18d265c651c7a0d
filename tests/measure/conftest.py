"""What the tests of trained models work on."""

import pytest

from pats.run import Run, finetune


@pytest.fixture(scope="session")
def trained_model(tiny_bert, many_reviews, tmp_path_factory):
    """The folder of a model that tells good texts from bad ones."""
    out = tmp_path_factory.mktemp("trained")
    run = Run(
        model=str(tiny_bert), data=str(many_reviews), method="vanilla", lr=3e-3, epochs=6, batch_size=16,
        precision="fp32", text="text",
    )  # fmt: skip
    finetune(run, out)
    return out / "model"
