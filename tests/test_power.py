"""Energy from power rails: the files of boards laid out in a folder, read over a real sshd on loopback."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import sshd
from device_kit import small_file
from nascc.runtime.errors import DeviceFailed
from nascc.runtime.profile import load_target
from nascc.runtime.remote.access import Access
from nascc.runtime.remote.board import Board, open_board
from nascc.runtime.remote.power import _watts, energy_of, rails_of, watch

pytestmark = pytest.mark.skipif(not sshd.AVAILABLE, reason=sshd.REASON)
INA = "sys/bus/i2c/drivers"
JETPACK_4 = {
    f"{INA}/ina3221x/6-0040/iio:device0/rail_name_0": "POM_5V_IN",
    f"{INA}/ina3221x/6-0040/iio:device0/in_power0_input": "2500",
    f"{INA}/ina3221x/6-0040/iio:device0/rail_name_1": "POM_5V_GPU",
    f"{INA}/ina3221x/6-0040/iio:device0/in_power1_input": "1000",
}
JETPACK_5 = {
    f"{INA}/ina3221/1-0040/hwmon/hwmon3/in1_label": "VDD_GPU_SOC",
    f"{INA}/ina3221/1-0040/hwmon/hwmon3/in1_input": "5000",
    f"{INA}/ina3221/1-0040/hwmon/hwmon3/curr1_input": "300",
    f"{INA}/ina3221/1-0040/hwmon/hwmon3/in2_label": "VDD_CPU_CV",
    f"{INA}/ina3221/1-0040/hwmon/hwmon3/in2_input": "5000",
    f"{INA}/ina3221/1-0040/hwmon/hwmon3/curr2_input": "100",
}


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    with sshd.running(tmp_path_factory.mktemp("sshd") / "d") as daemon:
        access = Access(addresses=(daemon.address,), ssh_config=str(daemon.config), python=sys.executable)
        with open_board(access, load_target("cpu")) as found:
            yield found


def laid_out(folder: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text + "\n")
    return str(folder)


@pytest.mark.parametrize(
    ("files", "names", "watts"),
    [(JETPACK_4, ["POM_5V_IN"], 2.5), (JETPACK_5, ["VDD_GPU_SOC", "VDD_CPU_CV"], 2.0)],
)
def test_reads_the_rails_of_a_jetson(
    board: Board, tmp_path: Path, files: dict[str, str], names: list[str], watts: float
) -> None:
    rails = rails_of(board.link, laid_out(tmp_path, files))
    assert [rail.name for rail in rails] == names
    assert {w for _, w in watch(board.link, rails, 0.5)} == {watts}


def test_a_board_without_rails_is_refused(board: Board, tmp_path: Path) -> None:
    with pytest.raises(DeviceFailed, match="must have power rails"):
        rails_of(board.link, str(tmp_path))


def test_idle_power_is_subtracted(board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rail that says 2.5 W, and 4.5 W as soon as the board works."""
    root = Path(laid_out(tmp_path / "root", JETPACK_4))
    monkeypatch.setattr("nascc.runtime.remote.power.IDLE_S", 1)
    monkeypatch.setattr("nascc.runtime.remote.power.BUSY_S", 3)
    monkeypatch.setattr("nascc.runtime.remote.power.SETTLE_S", 0.5)
    original = board.busy

    def busy(path: Path, shapes: object, seconds: int) -> tuple[float, float]:
        (root / f"{INA}/ina3221x/6-0040/iio:device0/in_power0_input").write_text("4500\n")
        return original(path, {}, seconds)

    monkeypatch.setattr(board, "busy", busy)
    found = energy_of(board, small_file(tmp_path / "net.onnx", "cpu"), {}, 10.0, root=str(root))
    assert (found.idle_w, found.busy_w, found.rail) == (2.5, 4.5, "POM_5V_IN")
    assert found.energy_mj == pytest.approx(2.0 * 10.0)


def test_counters_are_told_by_what_they_grew_by() -> None:
    rows = [[0.0, 1e6], [0.5, 3e6], [1.0, 5e6], [1.5, 1e3], [2.0, 2e6 + 1e3]]
    assert [w for _, w in _watts(rows, [True])] == [4.0, 4.0, 4.0], "the step back to the beginning does not count"
