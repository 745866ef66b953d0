// Only under libFuzzer: the JSON parser with its coverage, instead of the one in the system's library.
#include <boost/json/src.hpp>
