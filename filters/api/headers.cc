#include "filters/api/headers.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"

namespace remora {
namespace {

// Fields of which a message has one: what repeats is joined into a list, in order of arrival. Envoy
// does so for every name it knows by number, and what matches or rewrites a field relies on it.
constexpr HeaderId kJoinedIds[] = {
    HeaderId::kAccept,
    HeaderId::kAcceptEncoding,
    HeaderId::kAccessControlAllowCredentials,
    HeaderId::kAccessControlAllowHeaders,
    HeaderId::kAccessControlAllowMethods,
    HeaderId::kAccessControlAllowOrigin,
    HeaderId::kAccessControlAllowPrivateNetwork,
    HeaderId::kAccessControlExposeHeaders,
    HeaderId::kAccessControlMaxAge,
    HeaderId::kAccessControlRequestHeaders,
    HeaderId::kAccessControlRequestMethod,
    HeaderId::kAccessControlRequestPrivateNetwork,
    HeaderId::kAge,
    HeaderId::kAuthorization,
    HeaderId::kCacheControl,
    HeaderId::kContentEncoding,
    HeaderId::kContentType,
    HeaderId::kDate,
    HeaderId::kEtag,
    HeaderId::kExpect,
    HeaderId::kExpires,
    HeaderId::kGrpcAcceptEncoding,
    HeaderId::kGrpcMessage,
    HeaderId::kGrpcStatus,
    HeaderId::kGrpcTimeout,
    HeaderId::kIfMatch,
    HeaderId::kIfModifiedSince,
    HeaderId::kIfNoneMatch,
    HeaderId::kLastModified,
    HeaderId::kLocation,
    HeaderId::kOrigin,
    HeaderId::kPragma,
    HeaderId::kProxyStatus,
    HeaderId::kReferer,
    HeaderId::kServer,
    HeaderId::kTe,
    HeaderId::kUpgrade,
    HeaderId::kUserAgent,
    HeaderId::kVary,
    HeaderId::kVia,
    HeaderId::kXClientTraceId,
    HeaderId::kXEnvoyAttemptCount,
    HeaderId::kXEnvoyDecoratorOperation,
    HeaderId::kXEnvoyDownstreamServiceCluster,
    HeaderId::kXEnvoyDownstreamServiceNode,
    HeaderId::kXEnvoyExpectedRqTimeoutMs,
    HeaderId::kXEnvoyExternalAddress,
    HeaderId::kXEnvoyForceTrace,
    HeaderId::kXEnvoyInternal,
    HeaderId::kXEnvoyIpTags,
    HeaderId::kXEnvoyMaxRetries,
    HeaderId::kXEnvoyOriginalHost,
    HeaderId::kXEnvoyOriginalPath,
    HeaderId::kXEnvoyRetriableHeaderNames,
    HeaderId::kXEnvoyRetriableStatusCodes,
    HeaderId::kXEnvoyRetryGrpcOn,
    HeaderId::kXEnvoyRetryOn,
    HeaderId::kXEnvoyUpstreamAltStatName,
    HeaderId::kXEnvoyUpstreamRqPerTryTimeoutMs,
    HeaderId::kXEnvoyUpstreamRqTimeoutMs,
    HeaderId::kXEnvoyUpstreamServiceTime,
    HeaderId::kXForwardedClientCert,
    HeaderId::kXForwardedFor,
    HeaderId::kXForwardedHost,
    HeaderId::kXForwardedPort,
    HeaderId::kXForwardedProto,
    HeaderId::kXRequestId,
};

struct JoinedNames {
  bool at[kHeaderIdCount] = {};
  constexpr JoinedNames() {
    for (HeaderId id : kJoinedIds) at[static_cast<uint16_t>(id)] = true;
  }
};
constexpr JoinedNames kJoined;

bool IsJoined(HeaderId id) { return kJoined.at[static_cast<uint16_t>(id)]; }

}  // namespace

void Headers::set_status(int status) {
  status_ = status;
  char* text = arena_->AllocateChars(3);
  text[0] = static_cast<char>('0' + status / 100 % 10);
  text[1] = static_cast<char>('0' + status / 10 % 10);
  text[2] = static_cast<char>('0' + status % 10);
  pseudo_[static_cast<uint16_t>(HeaderId::kStatus)] = {text, 3};
}

void Headers::set_pseudo(HeaderId id, absl::string_view value) {
  set_pseudo_static(id, arena_->Copy(value));
}

void Headers::set_pseudo_static(HeaderId id, absl::string_view value) {
  pseudo_[static_cast<uint16_t>(id)] = value;
  if (id == HeaderId::kStatus) {
    int status = 0;
    status_ = absl::SimpleAtoi(value, &status) ? status : 0;
  }
}

void Headers::Grow() {
  const uint32_t capacity = capacity_ == 0 ? 24 : capacity_ * 2;
  auto* entries =
      static_cast<Header*>(arena_->Allocate(capacity * sizeof(Header), alignof(Header)));
  if (count_ > 0) std::memcpy(static_cast<void*>(entries), entries_, count_ * sizeof(Header));
  entries_ = entries;
  capacity_ = capacity;
}

void Headers::AddEntry(const Header& header) {
  if (header.id != HeaderId::kOther && MayHave(header.id) && IsJoined(header.id)) {
    if (Header* known = FindMutable(header.id)) {
      known->value = arena_->Concat(known->value, ",", header.value);
      return;
    }
  }
  if (count_ == capacity_) Grow();
  entries_[count_++] = header;
  const auto bit = static_cast<uint16_t>(header.id);
  present_[bit >> 6] |= uint64_t{1} << (bit & 63);
}

void Headers::Add(absl::string_view lower_name, absl::string_view value) {
  const HeaderId id = LookUpHeader(lower_name);
  if (id != HeaderId::kOther) {
    Add(id, value);
    return;
  }
  AddEntry({arena_->Copy(lower_name), arena_->Copy(value), id});
}

void Headers::Add(HeaderId id, absl::string_view value) {
  if (IsPseudo(id)) {
    set_pseudo(id, value);
    return;
  }
  AddEntry({HeaderName(id), arena_->Copy(value), id});
}

void Headers::AddReference(absl::string_view lower_name, absl::string_view value) {
  const HeaderId id = LookUpHeader(lower_name);
  if (id != HeaderId::kOther) {
    AddReference(id, value);
    return;
  }
  AddEntry({lower_name, value, id});
}

void Headers::AddReference(HeaderId id, absl::string_view value) {
  if (IsPseudo(id)) {
    set_pseudo_static(id, value);
    return;
  }
  AddEntry({HeaderName(id), value, id});
}

// Gives the first matching field `value` (already stable) and removes the others.
template <typename Same>
bool Headers::ReplaceFirst(Same&& same, absl::string_view value) {
  bool replaced = false;
  for (uint32_t i = 0; i < count_; ++i) {
    if (entries_[i].removed || !same(entries_[i])) continue;
    if (replaced) {
      RemoveAt(i);
    } else {
      entries_[i].value = value;
      replaced = true;
    }
  }
  return replaced;
}

void Headers::SetReference(HeaderId id, absl::string_view value) {
  if (IsPseudo(id)) {
    set_pseudo_static(id, value);
    return;
  }
  if (MayHave(id) && ReplaceFirst([id](const Header& h) { return h.id == id; }, value)) return;
  AddReference(id, value);
}

void Headers::Set(HeaderId id, absl::string_view value) { SetReference(id, arena_->Copy(value)); }

void Headers::Set(absl::string_view lower_name, absl::string_view value) {
  const HeaderId id = LookUpHeader(lower_name);
  if (id != HeaderId::kOther) {
    Set(id, value);
    return;
  }
  const absl::string_view copy = arena_->Copy(value);
  if (ReplaceFirst([&](const Header& h) { return h.name == lower_name; }, copy)) return;
  AddEntry({arena_->Copy(lower_name), copy, id});
}

void Headers::AppendValue(HeaderId id, absl::string_view value, absl::string_view delimiter) {
  Header* header = FindMutable(id);
  if (header == nullptr || header->value.empty()) {
    Set(id, value);
    return;
  }
  header->value = arena_->Concat(header->value, delimiter, value);
}

void Headers::RemoveAt(uint32_t index) {
  entries_[index].removed = true;
  ++removed_;
}

size_t Headers::Remove(HeaderId id) {
  if (IsPseudo(id)) {
    if (!HasPseudo(id)) return 0;
    set_pseudo_static(id, {});
    return 1;
  }
  if (!MayHave(id)) return 0;
  return RemoveIf([id](const Header& h) { return h.id == id; });
}

size_t Headers::Remove(absl::string_view lower_name) {
  const HeaderId id = LookUpHeader(lower_name);
  if (id != HeaderId::kOther) return Remove(id);
  return RemoveIf([&](const Header& h) { return h.name == lower_name; });
}

size_t Headers::RemovePrefix(absl::string_view lower_prefix) {
  return RemoveIf([&](const Header& h) { return absl::StartsWith(h.name, lower_prefix); });
}

const Header* Headers::Find(HeaderId id) const {
  if (!MayHave(id)) return nullptr;
  for (uint32_t i = 0; i < count_; ++i) {
    if (entries_[i].id == id && !entries_[i].removed) return &entries_[i];
  }
  return nullptr;
}

const Header* Headers::Find(absl::string_view lower_name) const {
  const HeaderId id = LookUpHeader(lower_name);
  if (id != HeaderId::kOther) return Find(id);
  for (uint32_t i = 0; i < count_; ++i) {
    const Header& header = entries_[i];
    if (header.id == HeaderId::kOther && !header.removed && header.name == lower_name)
      return &header;
  }
  return nullptr;
}

std::optional<absl::string_view> Headers::Get(HeaderId id) const {
  if (IsPseudo(id)) {
    if (!HasPseudo(id)) return std::nullopt;
    return pseudo(id);
  }
  const Header* header = Find(id);
  if (header == nullptr) return std::nullopt;
  return header->value;
}

std::optional<absl::string_view> Headers::Get(absl::string_view lower_name) const {
  const HeaderId id = LookUpHeader(lower_name);
  if (id != HeaderId::kOther) return Get(id);
  const Header* header = Find(lower_name);
  if (header == nullptr) return std::nullopt;
  return header->value;
}

absl::string_view Headers::Value(HeaderId id) const {
  return Get(id).value_or(absl::string_view());
}

template <typename Same>
std::optional<absl::string_view> Headers::Join(Same&& same) const {
  size_t bytes = 0;
  size_t found = 0;
  absl::string_view first;
  for (uint32_t i = 0; i < count_; ++i) {
    if (entries_[i].removed || !same(entries_[i])) continue;
    if (found++ == 0) first = entries_[i].value;
    bytes += entries_[i].value.size() + 1;
  }
  if (found == 0) return std::nullopt;
  if (found == 1) return first;
  char* text = arena_->AllocateChars(bytes);
  char* at = text;
  bool separate = false;
  for (uint32_t i = 0; i < count_; ++i) {
    if (entries_[i].removed || !same(entries_[i])) continue;
    if (separate) *at++ = ',';
    separate = true;
    at = std::copy(entries_[i].value.begin(), entries_[i].value.end(), at);
  }
  return absl::string_view(text, at - text);
}

std::optional<absl::string_view> Headers::GetJoined(HeaderId id) const {
  if (IsPseudo(id)) return Get(id);
  if (!MayHave(id)) return std::nullopt;
  return Join([id](const Header& h) { return h.id == id; });
}

std::optional<absl::string_view> Headers::GetJoined(absl::string_view lower_name) const {
  const HeaderId id = LookUpHeader(lower_name);
  if (id != HeaderId::kOther) return GetJoined(id);
  return Join([&](const Header& h) { return h.id == HeaderId::kOther && h.name == lower_name; });
}

size_t Headers::size() const {
  size_t pseudo_count = 0;
  for (const absl::string_view& value : pseudo_) pseudo_count += !value.empty();
  return count_ - removed_ + pseudo_count;
}

size_t Headers::byte_size() const {
  size_t bytes = 0;
  ForEachPseudo([&](const Header& h) { bytes += h.name.size() + h.value.size(); });
  ForEach([&](const Header& h) { bytes += h.name.size() + h.value.size(); });
  return bytes;
}

Headers* Headers::CopyTo(Arena* arena) const {
  auto* copy = arena->New<Headers>(arena);
  ForEachPseudo([&](const Header& h) { copy->set_pseudo(h.id, h.value); });
  ForEach([&](const Header& h) {
    absl::string_view name = h.id == HeaderId::kOther ? absl::string_view() : HeaderName(h.id);
    if (h.spelled) {
      name = arena->Concat(h.name, h.spelling()).substr(0, h.name.size());
    } else if (h.id == HeaderId::kOther) {
      name = arena->Copy(h.name);
    }
    copy->AddEntry({name, arena->Copy(h.value), h.id, h.never_index, false, h.spelled});
  });
  return copy;
}

}  // namespace remora
