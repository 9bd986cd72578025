#include "responder/base/secret.hpp"

#include <cstring>

namespace responder {

Secret::~Secret() { explicit_bzero(value_.data(), value_.size()); }

}  // namespace responder
