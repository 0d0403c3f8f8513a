"""`make reference`: write every generated page of docs/."""

from emulator.reference.markdown import ROOT
from emulator.reference.pages import PAGES


def main() -> None:
    for name, generate in PAGES.items():
        file = ROOT / "docs" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(generate())
        print(f"wrote docs/{name}")


if __name__ == "__main__":
    main()
