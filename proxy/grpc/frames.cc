#include "proxy/grpc/frames.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace remora::proxy {
namespace {

constexpr size_t kPrefix = 5;
constexpr int64_t kMostTimeout = 99999999;  // eight digits

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = absl::ascii_tolower(static_cast<unsigned char>(c));
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

}  // namespace

void AppendGrpcFrame(absl::string_view message, Body* out) {
  char prefix[kPrefix] = {};
  const auto size = static_cast<uint32_t>(message.size());
  for (int i = 0; i < 4; ++i) prefix[1 + i] = static_cast<char>(size >> (24 - 8 * i));
  out->Append(absl::string_view(prefix, kPrefix));
  out->Append(message);
}

GrpcFrameReader::Next GrpcFrameReader::Take(Body* message) {
  message->Clear();
  if (bytes_.size() < kPrefix) return Next::kMore;
  unsigned char prefix[kPrefix];
  bytes_.CopyTo(reinterpret_cast<char*>(prefix), kPrefix);
  if (prefix[0] != 0) return Next::kCompressed;
  uint64_t size = 0;
  for (int i = 1; i < 5; ++i) size = size << 8 | prefix[i];
  if (most_ != 0 && size > most_) return Next::kTooLong;
  if (bytes_.size() - kPrefix < size) return Next::kMore;
  bytes_.Consume(kPrefix);
  message->Append(bytes_, size);
  return Next::kMessage;
}

std::string DecodeGrpcMessage(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? HexDigit(text[i + 1]) : -1;
    const int low = high >= 0 ? HexDigit(text[i + 2]) : -1;
    if (low < 0) {
      out.push_back(text[i]);
      continue;
    }
    out.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return out;
}

std::string GrpcTimeoutValue(int64_t ms) {
  if (ms <= kMostTimeout) return absl::StrCat(ms, "m");
  const int64_t seconds = ms / 1000;
  if (seconds <= kMostTimeout) return absl::StrCat(seconds, "S");
  return absl::StrCat(std::min(seconds / 3600, kMostTimeout), "H");
}

}  // namespace remora::proxy
