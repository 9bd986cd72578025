// The bytes of one connection to the webhook listener, to its answers. The bytes go through framing and head parser
// by themselves, cut into pieces in several ways, which must not change what they mean; then over a socket to the
// real front, endpoint, intake and journal. What is expected of the answers is worked out from the requests alone.
//
// The first byte says whether 40 (SHA-1) or 64 (SHA-256) '@' in a head are replaced by the body's signature, so that
// inputs get past it; the second how the bytes are cut.
#include <cerrno>
#include <memory>
#include <vector>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "responder/base/text.hpp"
#include "responder/ingest/webhook_endpoint.hpp"
#include "responder/journal/journal.hpp"
#include "responder/rhombus/signature.hpp"

#include "fuzz.hpp"
#include "http_parse.hpp"
#include "temp_folder.hpp"

using namespace responder;
using fuzz::require;
using net::RequestFramer;

namespace {

// Small, so that inputs get to them.
constexpr net::FrameLimits limits{.max_head_bytes = 2048, .max_headers = 20, .max_body_bytes = 4096};
const Secret secret("a secret of the fuzz target");

// Sizes of pieces, the same for the same seed. 0: the whole at once; 1: byte by byte.
class Cuts {
 public:
  explicit Cuts(unsigned seed) : state_(seed) {}
  std::size_t next(std::size_t left) {
    if (state_ == 0) return left;
    if (state_ == 1) return 1;
    state_ = state_ * 1'103'515'245U + 12'345U;
    return std::min<std::size_t>(left, 1 + (state_ >> 16U) % 300);
  }

 private:
  unsigned state_;
};

struct Frame {
  std::string head;
  net::HeaderFields fields;
  std::string body;
  bool keep_alive = true;
  bool operator==(const Frame&) const = default;
};

// What a connection's bytes are read as.
struct Reading {
  std::vector<Frame> frames;
  bool refused = false;
  int status = 0;
  std::string_view reason;
  bool operator==(const Reading&) const = default;
};

// No control characters but tabs and whole line ends.
bool has_lines_only(std::string_view head) {
  for (std::size_t i = 0; i < head.size(); ++i) {
    if (head.substr(i, 2) == "\r\n") {
      ++i;
    } else if ((static_cast<unsigned char>(head[i]) < 0x20 && head[i] != '\t') || head[i] == 0x7F) {
      return false;
    }
  }
  return true;
}

Reading read(std::string_view bytes, Cuts cuts) {
  Reading reading;
  RequestFramer framer(limits);
  while (!bytes.empty()) {
    const auto count = cuts.next(bytes.size());
    auto state = framer.feed(bytes.substr(0, count));
    bytes.remove_prefix(count);
    require(framer.body().size() <= limits.max_body_bytes, "a body is never over its cap");
    while (state == RequestFramer::State::complete) {
      require(framer.head().size() <= limits.max_head_bytes, "a head is never over its cap");
      require(has_lines_only(framer.head()), "a head has no line that only others see");
      reading.frames.push_back({framer.head(), framer.fields(), framer.body(), framer.keep_alive()});
      state = framer.next();
    }
    if (state != RequestFramer::State::refused) continue;
    require(framer.feed("GET / HTTP/1.1\r\n\r\n") == RequestFramer::State::refused, "refused stays refused");
    reading.refused = true;
    reading.status = framer.refusal_status();
    reading.reason = framer.refusal_reason();
    require(reading.status >= 400 && reading.status < 500, "it is the client's fault");
    return reading;
  }
  return reading;
}

void sign_placeholders(std::string& bytes, const Reading& reading) {
  std::size_t at = 0;
  for (const auto& frame : reading.frames) {
    at = bytes.find(frame.head, at);
    require(at != std::string::npos, "a head is what came");
    for (const auto digest : {rhombus::Digest::sha256, rhombus::Digest::sha1}) {
      const auto signature = rhombus::sign(frame.body, secret, digest);
      const auto place = bytes.find(std::string(signature.size(), '@'), at);
      if (place < at + frame.head.size()) bytes.replace(place, signature.size(), signature);
    }
    at += frame.head.size();
  }
}

// Whether the answer has to be 200, or must not be.
bool is_to_be_accepted(const Frame& frame, const net::ServerRequest& request) {
  if (request.method != "POST" || request.path != "/webhook/rhombus") return false;
  const auto is_signed = [&](std::string_view name, rhombus::Digest digest) {
    return request.count(name) == 1 &&
           ascii_lower(trim(*request.header(name))) == rhombus::sign(frame.body, secret, digest);
  };
  const bool has_sha256 = request.count(rhombus::signature_header_sha256) > 0;
  const bool once = request.count(rhombus::signature_header_sha1) <= 1;
  const bool valid = has_sha256 ? is_signed(rhombus::signature_header_sha256, rhombus::Digest::sha256)
                                : is_signed(rhombus::signature_header_sha1, rhombus::Digest::sha1);
  return valid && once && rhombus::WebhookParser().parse(frame.body);
}

// The real listener on a socket, with a journal in memory.
class Listener {
 public:
  Listener() {
    net::FrontOptions options;
    options.listen.unix_path = (folder_ / "socket").string();
    options.limits = limits;
    auto front = net::HttpFront::open(
        options,
        [this](net::ServerRequest request, net::ReplySlot reply) {
          endpoint_.handle(std::move(request), std::move(reply));
        },
        clock_);
    require(static_cast<bool>(front), "the listener opens");
    front_ = std::move(*front);
  }

  UniqueFd connect() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const auto path = (folder_ / "socket").string();
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    require(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0, "it is reached");
    return fd;
  }

 private:
  test::TempFolder folder_;
  SystemClock clock_;
  journal::Writer writer_{*journal::Journal::in_memory(), 1000};
  ingest::Intake intake_{{}, writer_, [](journal::CaptureId, bool) {}};
  ingest::WebhookEndpoint endpoint_{
      {.trusted_proxies = *net::TrustedProxies::parse({"127.0.0.0/8"})}, {secret}, intake_, clock_, [](auto) {}};
  std::unique_ptr<net::HttpFront> front_;
};

// libFuzzer's alarm clock interrupts.
template <class Call>
ssize_t uninterrupted(Call call) {
  ssize_t result = -1;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

// The answers of one connection, one after the other.
class Answers {
 public:
  explicit Answers(const UniqueFd& fd) : fd_(fd) {}

  // The next one's status, 100 passed over; its body is taken off.
  int next(bool with_body) {
    int status = 100;
    while (status == 100) {
      std::size_t end = 0;
      while ((end = buffer_.find("\r\n\r\n")) == std::string::npos)
        require(receive(), "each request is answered before the end");
      const auto head = buffer_.substr(0, end + 2);
      buffer_.erase(0, end + 4);
      require(head.starts_with("HTTP/1.1 "), "an answer is HTTP");
      status = static_cast<int>(parse_int(std::string_view(head).substr(9, 3)).value_or(0));
      if (status == 100) continue;
      const auto length_at = head.find("\r\nContent-Length: ");
      require(length_at != std::string::npos, "an answer says its length");
      const auto number = std::string_view(head).substr(length_at + 18);
      const auto length = static_cast<std::size_t>(parse_int(number.substr(0, number.find('\r'))).value_or(0));
      if (!with_body) continue;
      while (buffer_.size() < length) require(receive(), "an answer is whole");
      require(buffer_.starts_with('{') && buffer_[length - 1] == '}', "an answer is JSON");
      buffer_.erase(0, length);
    }
    return status;
  }

  bool ended() { return buffer_.empty() && !receive(); }

 private:
  bool receive() {
    char bytes[4096];
    const ssize_t got = uninterrupted([&] { return ::recv(fd_.get(), bytes, sizeof bytes, 0); });
    if (got > 0) buffer_.append(bytes, static_cast<std::size_t>(got));
    return got > 0;
  }

  const UniqueFd& fd_;
  std::string buffer_;
};

void send_in_pieces(const UniqueFd& fd, std::string_view bytes, Cuts cuts) {
  // Each piece costs both sides a system call: byte by byte only for a while.
  for (int pieces = 0; !bytes.empty(); ++pieces) {
    const auto count = pieces < 100 ? cuts.next(bytes.size()) : bytes.size();
    const ssize_t sent = uninterrupted([&] { return ::send(fd.get(), bytes.data(), count, MSG_NOSIGNAL); });
    if (sent <= 0) return;  // refused meanwhile
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Anew now and then: the journal in memory grows with each alert.
  constexpr int runs_of_a_listener = 20'000;
  static std::unique_ptr<Listener> listener;
  static int runs = 0;
  if (runs++ % runs_of_a_listener == 0) listener.reset();
  if (!listener) listener = std::make_unique<Listener>();
  static net::HeadParser parser;
  fuzz::Input input(data, size);
  const bool sign = (input.byte() & 1U) != 0;
  const unsigned seed = input.byte();
  std::string bytes(input.rest());

  auto reading = read(bytes, Cuts(0));
  if (sign) {
    sign_placeholders(bytes, reading);
    reading = read(bytes, Cuts(0));
  }
  // Each byte costs a call.
  constexpr std::size_t most_single_bytes = 700;
  if (bytes.size() <= most_single_bytes)
    require(reading == read(bytes, Cuts(1)), "what arrives byte by byte means the same");
  if (seed > 1) require(reading == read(bytes, Cuts(seed)), "what arrives in pieces means the same");

  const auto socket = listener->connect();
  send_in_pieces(socket, bytes, Cuts(seed));
  Answers answers(socket);
  for (const auto& frame : reading.frames) {
    const auto request = parser.parse(frame.head, frame.fields);
    const int status = answers.next(!request || request->method != "HEAD");
    if (!request) {
      require(status == 400 && answers.ended(), "what makes no sense is refused, and the end");
      return 0;
    }
    require((status == 200) == is_to_be_accepted(frame, *request), "200 for what is signed and usable, nothing else");
    require(status < 500, "it works");
    if (!frame.keep_alive) {
      require(answers.ended(), "a connection is closed where the request says so");
      return 0;
    }
  }
  if (reading.refused) {
    require(answers.next(true) == reading.status, "a refusal is the framer's");
    require(answers.ended(), "after a refusal nothing is read");
  }
  return 0;
}
