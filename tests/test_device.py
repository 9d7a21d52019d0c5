"""What is set for the device that computes."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, numpy
from sertool import device
{}
def taken():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        numpy.empty(4_000_000, numpy.uint8).fill(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
taken()
print(taken())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps memory as it likes")
def test_memory_that_is_kept_is_not_asked_for_again():
    given, kept = (
        int(subprocess.run([sys.executable, "-c", FAULTS.format(line)], check=True, capture_output=True).stdout)
        for line in ("import ctypes; ctypes.pythonapi.mallopt(-1, 131072)", "device.keep_memory()")
    )
    assert kept < 100 < given
