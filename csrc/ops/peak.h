// The machine's measured peak, so that a benchmark can say what fraction of it was reached.
#pragma once

namespace lamina {

struct Peak {
  double flops;  // float32 multiply and add operations a second, on every thread of get_num_threads()
  double bytes;  // read and written a second by a copy in memory
};

// The best of what `seconds` gave time for, half of it for each: neighbours on the machine only ever slow it down.
Peak measure_peak(double seconds);

}  // namespace lamina
