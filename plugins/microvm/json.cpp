// Boost.JSON, compiled here: Debian's static library is not position-independent in all its parts.
#include <boost/json/src.hpp>
