#include "proxy/net/tls_inspector.h"

#include <openssl/bytestring.h>

#include <utility>

#include "absl/strings/ascii.h"

namespace remora::proxy {
namespace {

constexpr uint8_t kHandshakeRecord = 22;
constexpr uint8_t kClientHello = 1;
constexpr size_t kRecordHeader = 5;
constexpr size_t kMostRecord = 16 * 1024;
// The hello is read anew whenever bytes arrive, so a peer that sends records of one byte each must
// not be able to make that long. Three times what a post-quantum hello takes in such records.
constexpr int kMostRecords = 6 * 1024;
constexpr size_t kMostName = 255;
constexpr uint16_t kServerName = 0;
constexpr uint16_t kAlpn = 16;

absl::string_view View(const CBS& bytes) {
  return absl::string_view(reinterpret_cast<const char*>(CBS_data(&bytes)), CBS_len(&bytes));
}

bool ReadServerName(CBS extension, ClientHello* hello) {
  CBS list, name;
  uint8_t type;
  if (!CBS_get_u16_length_prefixed(&extension, &list) || CBS_len(&extension) != 0 ||
      !CBS_get_u8(&list, &type) || type != 0 || !CBS_get_u16_length_prefixed(&list, &name) ||
      CBS_len(&list) != 0) {
    return false;
  }
  if (CBS_len(&name) == 0 || CBS_len(&name) > kMostName || CBS_contains_zero_byte(&name))
    return false;
  hello->server_name = absl::AsciiStrToLower(View(name));
  return true;
}

bool ReadAlpn(CBS extension, ClientHello* hello) {
  CBS list;
  if (!CBS_get_u16_length_prefixed(&extension, &list) || CBS_len(&extension) != 0 ||
      CBS_len(&list) == 0)
    return false;
  while (CBS_len(&list) > 0) {
    CBS protocol;
    if (!CBS_get_u8_length_prefixed(&list, &protocol) || CBS_len(&protocol) == 0) return false;
    hello->alpn.emplace_back(View(protocol));
  }
  return true;
}

bool ReadHello(CBS body, ClientHello* hello) {
  CBS session, ciphers, compression, extensions;
  if (!CBS_skip(&body, 2 + 32) || !CBS_get_u8_length_prefixed(&body, &session) ||
      !CBS_get_u16_length_prefixed(&body, &ciphers) || CBS_len(&ciphers) < 2 ||
      !CBS_get_u8_length_prefixed(&body, &compression) || CBS_len(&compression) < 1) {
    return false;
  }
  if (CBS_len(&body) == 0) return true;
  if (!CBS_get_u16_length_prefixed(&body, &extensions) || CBS_len(&body) != 0) return false;
  bool seen_name = false;
  bool seen_alpn = false;
  while (CBS_len(&extensions) > 0) {
    uint16_t type;
    CBS content;
    if (!CBS_get_u16(&extensions, &type) || !CBS_get_u16_length_prefixed(&extensions, &content))
      return false;
    // A second one of a kind is forbidden; which of them the server would take must not be guessed.
    if (type == kServerName && (std::exchange(seen_name, true) || !ReadServerName(content, hello)))
      return false;
    if (type == kAlpn && (std::exchange(seen_alpn, true) || !ReadAlpn(content, hello)))
      return false;
  }
  return true;
}

// Whether a record's header can begin a TLS handshake.
bool HeaderPlausible(absl::string_view header) {
  return static_cast<uint8_t>(header[0]) == kHandshakeRecord && header[1] == 3;
}

}  // namespace

HelloResult ParseClientHello(absl::string_view bytes, size_t most, ClientHello* hello) {
  std::string joined;  // only when the hello comes in several records
  absl::string_view message;
  for (int records = 0; records < kMostRecords; ++records) {
    const absl::string_view header = bytes.substr(0, kRecordHeader);
    if (header.size() < kRecordHeader) return HelloResult::kNeedMore;
    if (!HeaderPlausible(header)) return HelloResult::kNotTls;
    const size_t length = (static_cast<uint8_t>(header[3]) << 8) | static_cast<uint8_t>(header[4]);
    if (length == 0 || length > kMostRecord) return HelloResult::kNotTls;
    bytes.remove_prefix(kRecordHeader);
    const absl::string_view fragment = bytes.substr(0, length);
    if (message.empty()) {
      message = fragment;
    } else {
      if (joined.empty()) joined.assign(message.data(), message.size());
      joined.append(fragment.data(), fragment.size());
      message = joined;
    }
    if (static_cast<uint8_t>(message.empty() ? kClientHello : message[0]) != kClientHello)
      return HelloResult::kNotTls;
    if (message.size() >= 4) {
      const size_t size = (static_cast<uint8_t>(message[1]) << 16) |
                          (static_cast<uint8_t>(message[2]) << 8) |
                          static_cast<uint8_t>(message[3]);
      if (size > most) return HelloResult::kTooLarge;
      if (message.size() >= 4 + size) {
        *hello = ClientHello();
        CBS body;
        CBS_init(&body, reinterpret_cast<const uint8_t*>(message.data()) + 4, size);
        return ReadHello(body, hello) ? HelloResult::kTls : HelloResult::kNotTls;
      }
    }
    if (fragment.size() < length) return HelloResult::kNeedMore;
    bytes.remove_prefix(length);
    if (bytes.empty()) return HelloResult::kNeedMore;
  }
  return HelloResult::kTooLarge;
}

}  // namespace remora::proxy
