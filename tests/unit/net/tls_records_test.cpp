#include "tls_records.hpp"

#include <array>
#include <memory>

#include <catch2/catch.hpp>
#include <sys/socket.h>
#include <unistd.h>

using namespace responder::net;

namespace {

std::string record(std::size_t size, char type = 0x17) {
  return std::string{type, 3, 3, static_cast<char>(size >> 8U), static_cast<char>(size & 0xFFU)} +
         std::string(size, 'x');
}

std::string drain(BIO* bio, std::size_t piece) {
  std::string all;
  std::array<char, 64 * 1024> part;
  for (int got = 0; (got = BIO_read(bio, part.data(), static_cast<int>(piece))) > 0;)
    all.append(part.data(), static_cast<std::size_t>(got));
  CHECK(BIO_should_retry(bio));
  CHECK(BIO_should_read(bio));
  return all;
}

struct Fixture {
  TlsRecords records;
  std::unique_ptr<BIO, decltype(&BIO_free)> bio{make_record_bio(records, -1), BIO_free};
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a reader gets one record, however many are there, and in whatever pieces they came") {
  const std::string texts[] = {record(22), record(0), record(1, 0x15), record(16 * 1024 + 2048), record(5)};
  std::string all;
  for (const auto& text : texts) all += text;
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{5000}, all.size()}) {
    CAPTURE(piece);
    std::size_t given = 0;
    for (const auto& text : texts) {
      while (!records.is_first_complete()) {
        records.add(std::string_view(all).substr(given, piece));
        given += piece;
      }
      CHECK(drain(bio.get(), 5).empty());
      CHECK(static_cast<char>(records.type()) == text[0]);
      CHECK(records.release_first() == text.size());
      CHECK(drain(bio.get(), piece % 2 == 0 ? 64 * 1024 : 3) == text);
    }
    CHECK(records.empty());
    CHECK(records.memory() < 64);
  }
}

TEST_CASE_METHOD(Fixture, "what a reader has left of a record comes first, and nothing behind it") {
  records.add(record(10) + record(20));
  CHECK(records.release_first() == 15);
  std::array<char, 5> header;
  CHECK(BIO_read(bio.get(), header.data(), 5) == 5);
  CHECK(records.is_first_complete());
  CHECK(records.release_first() == 0);
  records.add(record(30));
  CHECK(drain(bio.get(), 100) == std::string(10, 'x'));
  CHECK(records.release_first() == 25);
  CHECK(drain(bio.get(), 100) == record(20));
}

TEST_CASE_METHOD(Fixture, "a record that is too long is known by its header") {
  records.add(record(16 * 1024 + 2049).substr(0, 4));
  CHECK_FALSE(records.is_too_long());
  records.add(record(16 * 1024 + 2049).substr(4, 1));
  CHECK(records.is_too_long());
  CHECK_FALSE(records.is_first_complete());
}

TEST_CASE("what is written goes to the socket, and waits where it is full") {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()) == 0);
  TlsRecords records;
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(make_record_bio(records, ends[0]), BIO_free);
  CHECK(BIO_write(bio.get(), "abc", 3) == 3);
  std::array<char, 8> got{};
  CHECK(::recv(ends[1], got.data(), got.size(), 0) == 3);
  const std::string much(1 << 20, 'x');
  while (BIO_write(bio.get(), much.data(), static_cast<int>(much.size())) > 0) {
  }
  CHECK(BIO_should_write(bio.get()));
  ::close(ends[1]);
  CHECK(BIO_write(bio.get(), "abc", 3) == -1);  // and no SIGPIPE
  CHECK_FALSE(BIO_should_retry(bio.get()));
  ::close(ends[0]);
}
