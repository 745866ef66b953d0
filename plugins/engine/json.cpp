// Boost.JSON, compiled here: Debian's static library is not position-independent in all its parts, so a shared
// object takes it only where libstdc++ is linked statically as well, which sanitizers forbid.
#include <boost/json/src.hpp>
