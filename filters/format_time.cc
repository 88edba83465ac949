#include "filters/format_time.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include "absl/strings/str_cat.h"

namespace remora {
namespace {

constexpr int64_t kSecond = 1000000000;
constexpr absl::string_view kDefaultUtc = "%Y-%m-%dT%H:%M:%S.%3fZ";
constexpr absl::string_view kDefaultLocal = "%Y-%m-%dT%H:%M:%S.%3f%z";

// The broken-down time of the last second asked for, so that a busy thread does not work it out for
// every line.
const std::tm& BrokenDown(std::time_t seconds, bool local) {
  struct Cache {
    std::time_t seconds = -1;
    std::tm parts = {};
  };
  thread_local Cache caches[2];
  Cache& cache = caches[local];
  if (cache.seconds != seconds) {
    cache.seconds = seconds;
    local ? ::localtime_r(&seconds, &cache.parts) : ::gmtime_r(&seconds, &cache.parts);
  }
  return cache.parts;
}

bool IsDigit(char c) { return c >= '1' && c <= '9'; }

}  // namespace

absl::StatusOr<TimeFormat> TimeFormat::Parse(absl::string_view format, bool local) {
  if (format.empty()) format = local ? kDefaultLocal : kDefaultUtc;
  TimeFormat out;
  out.local_ = local;
  std::string plain;
  const auto flush = [&] {
    if (plain.empty()) return;
    Piece piece;
    piece.format = std::exchange(plain, {});
    out.pieces_.push_back(std::move(piece));
  };
  for (size_t i = 0; i < format.size(); ++i) {
    const absl::string_view rest = format.substr(i);
    Piece piece;
    size_t length = 0;
    if (rest.size() >= 3 && rest[0] == '%' && IsDigit(rest[1]) && rest[2] == 'f') {
      piece.digits = rest[1] - '0';
      length = 3;
    } else if (rest.size() >= 2 && rest[0] == '%' && rest[1] == 'f') {
      piece.digits = 9;
      length = 2;
    } else if (rest.size() >= 2 && rest[0] == '%' && rest[1] == 's') {
      length = 2;
    } else if (rest.size() >= 2 && rest[0] == '%') {
      absl::StrAppend(&plain, rest.substr(0, 2));
      ++i;
      continue;
    } else {
      plain.push_back(rest[0]);
      continue;
    }
    flush();
    out.pieces_.push_back(piece);
    i += length - 1;
  }
  flush();
  return out;
}

void TimeFormat::Append(int64_t system_ns, std::string* out) const {
  const std::time_t seconds = system_ns / kSecond;
  const int64_t fraction = system_ns % kSecond;
  for (const Piece& piece : pieces_) {
    if (!piece.format.empty()) {
      char text[256];
      out->append(text, std::strftime(text, sizeof text, piece.format.c_str(),
                                      &BrokenDown(seconds, local_)));
    } else if (piece.digits == 0) {
      absl::StrAppend(out, seconds);
    } else {
      int64_t divisor = kSecond;
      for (int i = 0; i < piece.digits; ++i) divisor /= 10;
      char text[16];
      int64_t value = fraction / divisor;
      for (int i = piece.digits - 1; i >= 0; --i, value /= 10) {
        text[i] = static_cast<char>('0' + value % 10);
      }
      out->append(text, piece.digits);
    }
  }
}

}  // namespace remora
