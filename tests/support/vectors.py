"""Published test vectors of others, where they lie beside the project. Tests must also pass without them."""

from pathlib import Path

VECTORS = Path(__file__).resolve().parents[3] / "shared" / "cases" / "vectors"
