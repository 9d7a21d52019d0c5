"""What is set for the device that computes."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, numpy
from sertool.system import device
{}
def taken():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        numpy.empty(4_000_000, numpy.uint8).fill(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
taken()
print(taken())
"""


def faults(line: str) -> int:
    """Pages that the system must clear for blocks that come and go, after `line`."""
    return int(subprocess.run([sys.executable, "-c", FAULTS.format(line)], check=True, capture_output=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps memory as it likes")
def test_kept_memory_is_not_requested_from_the_system_again():
    usual = faults("import ctypes; ctypes.pythonapi.mallopt(-1, 131072)")
    assert faults("kept = device.memory_kept(); kept.__enter__()") < 100 < usual


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps memory as it likes")
def test_memory_is_released_after_the_context_ends():
    assert faults("with device.memory_kept(): pass") > 100
