// Boost.JSON, compiled here: Debian's static library is not position-independent in all its parts, so a shared
// object takes it only where libstdc++ is linked statically as well, which sanitizers forbid.
#include <boost/json/src.hpp>

#include <cstdio>
#include <ctime>

#include "engine/json_read.hpp"

namespace kortex::engine {

std::int64_t time_ms(std::string_view text) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, used = 0;
  const std::string copy(text);
  if (std::sscanf(copy.c_str(), "%d-%d-%dT%d:%d:%d%n", &year, &month, &day, &hour, &minute, &second, &used) < 6) return 0;
  const auto within = [](int value, int least, int most) { return value >= least && value <= most; };
  if (!within(year, 1970, 9999) || !within(month, 1, 12) || !within(day, 1, 31) || !within(hour, 0, 23) || !within(minute, 0, 59) ||
      !within(second, 0, 60))
    return 0;
  std::tm parts{};
  parts.tm_year = year - 1900;
  parts.tm_mon = month - 1;
  parts.tm_mday = day;
  parts.tm_hour = hour;
  parts.tm_min = minute;
  parts.tm_sec = second;
  std::int64_t ms = static_cast<std::int64_t>(::timegm(&parts)) * 1000;
  std::size_t at = static_cast<std::size_t>(used);
  if (at < copy.size() && copy[at] == '.') {
    int factor = 100;
    for (++at; at < copy.size() && copy[at] >= '0' && copy[at] <= '9'; ++at, factor /= 10) ms += (copy[at] - '0') * factor;
  }
  int zone_hours = 0, zone_minutes = 0;
  if (at < copy.size() && (copy[at] == '+' || copy[at] == '-') &&
      std::sscanf(copy.c_str() + at + 1, "%2d:%2d", &zone_hours, &zone_minutes) == 2)
    ms -= (copy[at] == '+' ? 1 : -1) * (zone_hours * 60 + zone_minutes) * std::int64_t{60000};
  return ms;
}

}  // namespace kortex::engine
