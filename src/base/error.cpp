#include "responder/base/error.hpp"

#include <cerrno>
#include <system_error>

#include <fmt/format.h>

namespace responder {

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::transient: return "transient";
    case ErrorKind::not_yet: return "not yet";
    case ErrorKind::not_found: return "not found";
    case ErrorKind::auth: return "refused";
    case ErrorKind::permanent: return "permanent";
    case ErrorKind::no_space: return "no space";
    case ErrorKind::cancelled: return "cancelled";
  }
  return "unknown";
}

Error with_context(Error error, std::string_view context) {
  const bool says_so = error.message.starts_with(context) && error.message.substr(context.size()).starts_with(": ");
  if (!says_so) error.message = fmt::format("{}: {}", context, error.message);
  return error;
}

Error errno_error(int error_number, std::string_view what) {
  ErrorKind kind = ErrorKind::permanent;
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
    case EROFS:
    case EIO:
    case ESTALE:
    case EREMOTEIO:
    case ENOLINK:
    case ENOTCONN:  // a share, or a file system of a program, whose other end is gone
    case ESHUTDOWN:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENETDOWN:
    case ENETUNREACH:
    case ECONNABORTED:
    case ECONNRESET:
    case ENOMEDIUM:
    case ENXIO:
    case ENODEV: kind = ErrorKind::no_space; break;
    case EAGAIN:
    case EINTR:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EBUSY:
    case ETXTBSY:
    case ETIMEDOUT: kind = ErrorKind::transient; break;
    case ENOENT: kind = ErrorKind::not_found; break;
    default: break;
  }
  return Error{kind, fmt::format("{}: {}", what, std::generic_category().message(error_number))};
}

}  // namespace responder
