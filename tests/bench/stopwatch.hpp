/// How long whole processes take. Two things are compared by running them in turn, so that a busy machine is busy for both, and by the
/// median, so that one interruption does not count.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace kortex::bench {

using Command = std::vector<std::string>;

/// Wall time from spawn to the end of the process, in microseconds; its stdout goes to /dev/null, its stderr to ours.
/// Throws when it does not end with status 0.
double run(const Command&);

/// Until something can be read from the FIFO `first_byte`; then waits for the process as run() does.
double run_until_byte(const Command&, const std::string& first_byte);

double median(std::vector<double>);

struct Pair {
  double a = 0, b = 0;
  [[nodiscard]] double ratio() const { return a / b; }
};
/// Medians of `count` measurements of each, taken in turn after one of each that is thrown away.
Pair compare(int count, const std::function<double()>& a, const std::function<double()>& b);

}  // namespace kortex::bench
