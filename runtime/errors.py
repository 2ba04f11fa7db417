"""Errors of the runtime package, each with the exit code the command line gives it."""


class RuntimeTargetError(Exception):
    """What the runtime package refuses: one sentence that says what must hold, what was found, what to do."""

    exit_code: int = 2


class UnreadableFile(RuntimeTargetError):
    """The path is missing, is no regular file, or must not be read."""

    exit_code = 2


class CorruptFile(RuntimeTargetError):
    """The content is empty, truncated, damaged or of no known kind."""

    exit_code = 3


class UnsafeFile(RuntimeTargetError):
    """Opening the content would run code it brings along, or exhaust the machine."""

    exit_code = 9


class UnknownTarget(RuntimeTargetError):
    """No target profile has this name."""

    exit_code = 2


class UnknownPowerMode(RuntimeTargetError):
    """The target has no power mode of this name, or none at all."""

    exit_code = 2


class NotCalibrated(RuntimeTargetError):
    """The target has no latency coefficients, so nothing can be estimated for it."""

    exit_code = 2


class WrongMeasurements(RuntimeTargetError):
    """A table of measurements has wrong units, missing models or no usable rows."""

    exit_code = 2


class RunnerFailed(RuntimeTargetError):
    """A backend could not run the graph it was given."""

    exit_code = 1


class UnstableMachine(RuntimeTargetError):
    """The machine did not stay the same while it was measured on."""

    exit_code = 7


class OpenSizes(RuntimeTargetError):
    """A model leaves sizes open that must be numbers to run it or to estimate it."""

    exit_code = 2


class DifferentInputs(RuntimeTargetError):
    """Models that are compared take different inputs, or a shape fits no input."""

    exit_code = 2


class BadAddress(RuntimeTargetError):
    """The address of a device is none, or holds what must not reach a command line."""

    exit_code = 2


class DeviceUnreachable(RuntimeTargetError):
    """No connection to a device: no route, unknown host key, no permission, or a link that went away."""

    exit_code = 7


class DeviceBusy(RuntimeTargetError):
    """Somebody else measures on the device."""

    exit_code = 7


class DeviceFailed(RuntimeTargetError):
    """The device lacks what is needed, or ran out of time, memory or space."""

    exit_code = 7


class WrongDevice(RuntimeTargetError):
    """The device, or an engine, is another one than the profile or the manifest says."""

    exit_code = 4


class BuildFailed(RuntimeTargetError):
    """TensorRT can not make an engine of a network, or the engine lost the precision that was asked for."""

    exit_code = 4


class BudgetBroken(RuntimeTargetError):
    """What was measured is above what was allowed."""

    exit_code = 6
