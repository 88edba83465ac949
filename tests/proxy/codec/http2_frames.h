#ifndef REMORA_TESTS_PROXY_CODEC_HTTP2_FRAMES_H_
#define REMORA_TESTS_PROXY_CODEC_HTTP2_FRAMES_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "proxy/codec/detect.h"

namespace remora::proxy {

// HTTP/2 frames made by hand, lawful or not, and the reading of those a codec wrote.

enum FrameType : uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kRstStream = 3,
  kSettings = 4,
  kPushPromise = 5,
  kPing = 6,
  kGoAway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};

inline constexpr uint8_t kEndStream = 1;
inline constexpr uint8_t kAck = 1;
inline constexpr uint8_t kEndHeaders = 4;
inline constexpr uint8_t kPadded = 8;

inline std::string Number(uint64_t value, int bytes) {
  std::string text;
  for (int i = bytes - 1; i >= 0; --i) text += static_cast<char>(value >> (8 * i));
  return text;
}

inline std::string Frame(FrameType type, uint8_t flags, uint32_t stream,
                         const std::string& payload) {
  return Number(payload.size(), 3) + static_cast<char>(type) + static_cast<char>(flags) +
         Number(stream, 4) + payload;
}

using FieldList = std::vector<std::pair<std::string, std::string>>;

// HPACK without tables or Huffman coding: "literal without indexing", any bytes.
inline std::string Block(const FieldList& fields) {
  std::string block;
  const auto text = [&](const std::string& s) {
    if (s.size() < 127) {
      block += static_cast<char>(s.size());
    } else {
      block += static_cast<char>(127);
      size_t rest = s.size() - 127;
      for (; rest >= 128; rest /= 128) block += static_cast<char>(128 + rest % 128);
      block += static_cast<char>(rest);
    }
    block += s;
  };
  for (const auto& [name, value] : fields) {
    block += '\0';
    text(name);
    text(value);
  }
  return block;
}

inline std::string HeadersFrame(uint32_t stream, const FieldList& fields, bool end) {
  const std::string block = Block(fields);
  constexpr size_t kMost = 16384;
  std::string text =
      Frame(kHeaders, (end ? kEndStream : 0) | (block.size() <= kMost ? kEndHeaders : 0), stream,
            block.substr(0, kMost));
  for (size_t at = kMost; at < block.size(); at += kMost) {
    text += Frame(kContinuation, at + kMost >= block.size() ? kEndHeaders : 0, stream,
                  block.substr(at, kMost));
  }
  return text;
}

inline FieldList RequestFields(const std::string& path = "/", const std::string& method = "GET") {
  return {{":method", method}, {":scheme", "http"}, {":path", path}, {":authority", "a"}};
}

inline FieldList With(FieldList fields, const std::string& name, const std::string& value) {
  fields.push_back({name, value});
  return fields;
}

inline std::string ClientHello() { return std::string(kHttp2Preface) + Frame(kSettings, 0, 0, ""); }

struct ReadFrame {
  FrameType type;
  uint8_t flags;
  uint32_t stream;
  std::string payload;
  uint32_t code() const {  // of RST_STREAM and GOAWAY
    const size_t at = type == kGoAway ? 4 : 0;
    uint32_t value = 0;
    for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(payload[at + i]);
    return value;
  }
};

// Whole frames of `wire`; the client's preface is skipped.
inline std::vector<ReadFrame> ReadFrames(absl::string_view wire) {
  std::vector<ReadFrame> frames;
  if (wire.substr(0, kHttp2Preface.size()) == kHttp2Preface)
    wire.remove_prefix(kHttp2Preface.size());
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(wire[i])); };
  while (wire.size() >= 9) {
    const size_t size = byte(0) << 16 | byte(1) << 8 | byte(2);
    if (wire.size() < 9 + size) break;
    frames.push_back({static_cast<FrameType>(byte(3)), static_cast<uint8_t>(byte(4)),
                      byte(5) << 24 | byte(6) << 16 | byte(7) << 8 | byte(8),
                      std::string(wire.substr(9, size))});
    wire.remove_prefix(9 + size);
  }
  return frames;
}

// "HEADERS 1, DATA 1 END, ..." without the connection's own housekeeping.
inline std::string FrameNames(absl::string_view wire, bool all = false) {
  static constexpr const char* kNames[] = {
      "DATA",         "HEADERS", "PRIORITY", "RST_STREAM",    "SETTINGS",
      "PUSH_PROMISE", "PING",    "GOAWAY",   "WINDOW_UPDATE", "CONTINUATION"};
  std::string text;
  for (const ReadFrame& frame : ReadFrames(wire)) {
    if (!all && (frame.type == kSettings || frame.type == kWindowUpdate)) continue;
    if (!text.empty()) text += ", ";
    text += std::string(kNames[frame.type]) + " " + std::to_string(frame.stream);
    if (frame.type == kRstStream || frame.type == kGoAway)
      text += " " + std::to_string(frame.code());
    const bool end = frame.type == kData || frame.type == kHeaders;
    if (end && (frame.flags & kEndStream) != 0) text += " END";
  }
  return text;
}

}  // namespace remora::proxy

#endif  // REMORA_TESTS_PROXY_CODEC_HTTP2_FRAMES_H_
