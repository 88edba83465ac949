// Time as the pure rooms (lb/, health/) see it: always passed in, never read
// here.
//
// A TimePoint is the time since some fixed moment of the process (the steady
// clock's epoch); only differences mean anything, and zero or less stands for
// "not yet".

#ifndef REMORA_LB_CLOCK_H_
#define REMORA_LB_CLOCK_H_

#include <chrono>

namespace remora::lb {

using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::nanoseconds;

}  // namespace remora::lb

#endif  // REMORA_LB_CLOCK_H_
