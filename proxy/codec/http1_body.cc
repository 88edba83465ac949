#include "proxy/codec/http1_body.h"

#include <algorithm>

#include "proxy/codec/field_text.h"

namespace remora::proxy {
namespace {

// h2o's rule against bodies that are nearly all framing (CVE-2024-22019 and its kin).
constexpr uint64_t kOverheadStart = 100 * 1024;
constexpr uint64_t kOverheadPercent = 80;
constexpr uint32_t kMostExtension = 4096;
constexpr uint8_t kMostDigits = 16;

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

void Http1BodyReader::StartChunked(bool request) {
  mode_ = Mode::kChunked;
  chunk_ = Chunk::kSizeStart;
  request_ = request;
  last_ = false;
  digits_ = 0;
  extension_ = 0;
  remaining_ = overhead_ = payload_ = 0;
}

bool Http1BodyReader::Fail(absl::string_view details, bool overflow) {
  error_ = CodecError{details, 400, overflow};
  return false;
}

void Http1BodyReader::Take(Body& input, Body& out, size_t count) {
  out.Append(input, count);
  wire_bytes_ += count;
}

Http1BodyReader::Result Http1BodyReader::Read(Body& input, Body& out) {
  switch (mode_) {
    case Mode::kNone:
      return Result::kDone;
    case Mode::kLength: {
      const size_t part = std::min<uint64_t>(remaining_, input.size());
      Take(input, out, part);
      remaining_ -= part;
      return remaining_ == 0 ? Result::kDone : Result::kMore;
    }
    case Mode::kChunked:
      return ReadChunked(input, out);
    case Mode::kRaw:
      Take(input, out, input.size());
      return Result::kMore;
  }
  return Result::kMore;
}

Http1BodyReader::Result Http1BodyReader::ReadChunked(Body& input, Body& out) {
  while (!input.empty()) {
    if (chunk_ == Chunk::kData) {
      const size_t part = std::min<uint64_t>(remaining_, input.size());
      Take(input, out, part);
      payload_ += part;
      remaining_ -= part;
      if (remaining_ == 0) chunk_ = Chunk::kDataCr;
      continue;
    }
    size_t taken = 0;
    const bool good = ReadFraming(input.front(), &taken);
    input.Consume(taken);
    wire_bytes_ += taken;
    overhead_ += taken;
    if (!good) return Result::kError;
    if (last_) return Result::kTrailers;
    if (Wasteful()) {
      Fail("http1.codec_error", true);
      return Result::kError;
    }
  }
  return Result::kMore;
}

bool Http1BodyReader::Wasteful() {
  if (overhead_ < kOverheadStart) return false;
  // A server may well send a long response in tiny chunks; only its extensions are held against it.
  const uint64_t total = overhead_ + payload_;
  return request_ ? overhead_ * 100 > total * kOverheadPercent : extension_ >= kMostExtension;
}

bool Http1BodyReader::SizeDigit(char c) {
  const int digit = HexValue(c);
  if (digit < 0 || ++digits_ > kMostDigits) return Fail("http1.codec_error");
  if (remaining_ > (static_cast<uint64_t>(INT64_MAX) >> 4)) return Fail("http1.codec_error");
  remaining_ = remaining_ * 16 + static_cast<uint64_t>(digit);
  chunk_ = Chunk::kSize;
  return true;
}

bool Http1BodyReader::ReadFraming(absl::string_view run, size_t* taken) {
  for (const char c : run) {
    ++*taken;
    switch (chunk_) {
      case Chunk::kSizeStart:
        digits_ = 0;
        remaining_ = 0;
        extension_ = 0;
        if (!SizeDigit(c)) return false;
        break;
      case Chunk::kSize:
        if (c == '\r') {
          chunk_ = Chunk::kSizeLf;
        } else if (c == ';') {
          chunk_ = Chunk::kExtension;
        } else if (!SizeDigit(c)) {
          return false;
        }
        break;
      case Chunk::kExtension:
        if (c == '\r') {
          chunk_ = Chunk::kSizeLf;
        } else if (!IsChar(c, kTokenChar) && c != '=') {
          // Quoted values, lists and blanks are lawful, unused, and read differently by every
          // parser.
          return Fail("http1.codec_error");
        } else if (++extension_ > kMostExtension) {
          return Fail("http1.codec_error", true);
        }
        break;
      case Chunk::kSizeLf:
        if (c != '\n') return Fail("http1.codec_error");
        last_ = remaining_ == 0;
        chunk_ = Chunk::kData;
        return true;
      case Chunk::kDataCr:
        if (c != '\r') return Fail("http1.codec_error");
        chunk_ = Chunk::kDataLf;
        break;
      case Chunk::kDataLf:
        if (c != '\n') return Fail("http1.codec_error");
        chunk_ = Chunk::kSizeStart;
        break;
      case Chunk::kData:
        return true;
    }
  }
  return true;
}

}  // namespace remora::proxy
