"""Names of the array types that the makers share.

Shape letters: N creatives, A advertisers, C distinct contents, T texts, H strata, n labelled rows.
Times are int64 microseconds since 1970-01-01 UTC.
"""

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]
Words = npt.NDArray[np.str_]
