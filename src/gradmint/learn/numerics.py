"""One machine's way of computing: number format, micro-batch, kernels, device, threads.

Honest signatures lie close together only between configurations whose noise was measured, so a run's manifest lists
the ones that it admits and the torch release. Spelling, in this order: ``float32``, ``bfloat16/micro=16/kernel=math``,
``float32/device=cuda/threads=4``; what is left out is the default.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..spec.errors import SettingsError

#: The torch that is installed here, without its build's suffix.
TORCH_RELEASE = torch.__version__.split("+")[0]
DTYPES = ("float32", "bfloat16")
KERNELS = ("default", "math", "plain")
DEVICES = ("cpu", "cuda")
MAX_MICRO = 1 << 20
MAX_THREADS = 1_024
SPELLING = re.compile(
    r"(?P<dtype>[a-z0-9]{1,16})(/micro=(?P<micro>[0-9]{1,7}))?(/kernel=(?P<kernel>[a-z]{1,16}))?"
    r"(/device=(?P<device>[a-z]{1,16}))?(/threads=(?P<threads>[0-9]{1,4}))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Numerics:
    """One configuration. Models, gradients and optimiser are float32 whatever it is; it says how they are computed."""

    dtype: str = "float32"  # "bfloat16": matrix products by torch's autocast
    micro: int = 0  # samples in one pass, gradients added in order; 0 takes a batch whole
    kernel: str = "default"  # "math": attention written out; "plain": that, and without oneDNN
    device: str = "cpu"
    threads: int = 0  # 0 leaves the process's number alone

    def __post_init__(self) -> None:
        for name, value, known in (
            ("dtype", self.dtype, DTYPES),
            ("kernel", self.kernel, KERNELS),
            ("device", self.device, DEVICES),
        ):
            if value not in known:
                raise SettingsError(f"numerics: {name} is {value!r}, expected one of {', '.join(known)}")
        if not (0 <= self.micro <= MAX_MICRO and 0 <= self.threads <= MAX_THREADS):
            raise SettingsError(
                f"numerics: micro {self.micro} lies in 0..{MAX_MICRO}, threads {self.threads} in 0..{MAX_THREADS}"
            )

    def __str__(self) -> str:
        shown = (
            ("micro", self.micro or ""),
            ("kernel", self.kernel if self.kernel != "default" else ""),
            ("device", self.device if self.device != "cpu" else ""),
            ("threads", self.threads or ""),
        )
        return "/".join([self.dtype, *(f"{name}={value}" for name, value in shown if value)])

    @classmethod
    def parse(cls, text: str) -> Numerics:
        """Inverse of ``str``; accepts that one spelling alone. Raises SettingsError."""
        found = SPELLING.fullmatch(text)
        if found is None:
            raise SettingsError(
                f"numerics {text!r} is not of the form DTYPE[/micro=N][/kernel=K][/device=D][/threads=N], such as "
                "bfloat16/micro=16"
            )
        parts = found.groupdict()
        numerics = cls(
            dtype=parts["dtype"],
            micro=int(parts["micro"] or 0),
            kernel=parts["kernel"] or "default",
            device=parts["device"] or "cpu",
            threads=int(parts["threads"] or 0),
        )
        if str(numerics) != text:
            raise SettingsError(f"numerics {text!r} is spelt {numerics}")
        return numerics

    @property
    def policy(self) -> str:
        """The part that a run's policy speaks about: threads change the order of a few sums and are everyone's own."""
        return str(replace(self, threads=0))

    @contextmanager
    def apply(self) -> Iterator[None]:
        """Every ``Network`` made inside computes so. Threads and kernels are the process's while it lasts.

        Raises SettingsError when there is no such device here.
        """
        self.require_device()
        token = _CURRENT.set(self)
        threads = torch.get_num_threads()
        try:
            with ExitStack() as stack:
                if self.threads:
                    torch.set_num_threads(self.threads)
                if self.kernel != "default":
                    stack.enter_context(sdpa_kernel(SDPBackend.MATH))
                if self.kernel == "plain":
                    stack.enter_context(_without_onednn())
                yield
        finally:
            if self.threads:
                torch.set_num_threads(threads)
            _CURRENT.reset(token)

    def require_device(self) -> None:
        """Raises SettingsError when there is no such device here."""
        if self.device == "cuda" and not torch.cuda.is_available():
            raise SettingsError(f"numerics {self}: torch finds no CUDA device here; leave /device=cuda out")

    def precision(self) -> torch.autocast:
        """Autocast for one pass. Its cache of cast weights would outlive a change of the weights, so there is none."""
        enabled = self.dtype == "bfloat16"
        return torch.autocast(self.device, dtype=torch.bfloat16, enabled=enabled, cache_enabled=False)


_DEFAULT = Numerics()
_CURRENT: ContextVar[Numerics] = ContextVar("numerics", default=_DEFAULT)


def current() -> Numerics:
    """What is applied here and now; the default outside of every :meth:`Numerics.apply`."""
    return _CURRENT.get()


@contextmanager
def _without_onednn() -> Iterator[None]:
    # torch.backends.mkldnn.flags would also set Intel GPUs' TF32, with a warning where there are none.
    before = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    try:
        yield
    finally:
        torch._C._set_mkldnn_enabled(before)
