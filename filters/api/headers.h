#ifndef REMORA_FILTERS_API_HEADERS_H_
#define REMORA_FILTERS_API_HEADERS_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "filters/api/arena.h"
#include "filters/api/header_id.h"

namespace remora {

// One field. `name` is lower-case; `value` has no surrounding blanks. Both live in the arena of the
// Headers they are in, or are static.
struct Header {
  absl::string_view name;
  absl::string_view value;
  HeaderId id = HeaderId::kOther;
  // HPACK must not put it into a table (RFC 7541 section 7.1.3).
  bool never_index = false;
  // Set by Remove(); iteration skips it.
  bool removed = false;
  // The name as it was spelled follows `name` in memory, in the same length (header case
  // preserved).
  bool spelled = false;

  // The name as the peer spelled it, where that was kept; else the lower-case one.
  absl::string_view spelling() const {
    return spelled ? absl::string_view(name.data() + name.size(), name.size()) : name;
  }
};

// The header section (or trailers) of one message: pseudo headers apart, the others in the order of
// arrival. Repeated fields are repeated entries, except that of the names which Envoy knows by
// number (user-agent, via, x-forwarded-for, ...) there is one: what repeats is joined by ",".
//
// Threads: one. Lifetime: that of its arena, which also holds every byte it refers to; it is
// trivially destructible, so it may itself live in the arena (Arena::New<Headers>(arena)).
// Finding an interned name compares 16-bit numbers and starts with a bit that says "not here".
class Headers {
 public:
  explicit Headers(Arena* arena) : arena_(arena) {}

  Arena& arena() const { return *arena_; }

  // Pseudo headers; empty when absent (an empty :path, say, is the same as none).
  absl::string_view method() const { return pseudo(HeaderId::kMethod); }
  absl::string_view scheme() const { return pseudo(HeaderId::kScheme); }
  absl::string_view authority() const { return pseudo(HeaderId::kAuthority); }
  absl::string_view path() const { return pseudo(HeaderId::kPath); }
  absl::string_view protocol() const { return pseudo(HeaderId::kProtocol); }
  // The :status of a response as a number; 0 when absent.
  int status() const { return status_; }
  void set_status(int status);
  absl::string_view pseudo(HeaderId id) const { return pseudo_[static_cast<uint16_t>(id)]; }
  // Copies `value`.
  void set_pseudo(HeaderId id, absl::string_view value);
  // Keeps `value`, which must outlive the arena.
  void set_pseudo_static(HeaderId id, absl::string_view value);

  // Adds a field at the end; name and value are copied. `lower_name` must be lower-case. A pseudo
  // name sets the pseudo header.
  void Add(absl::string_view lower_name, absl::string_view value);
  void Add(HeaderId id, absl::string_view value);
  // As Add, but keeps references: both must outlive the arena (or be in it).
  void AddReference(absl::string_view lower_name, absl::string_view value);
  void AddReference(HeaderId id, absl::string_view value);
  // Full control, for codecs: all parts are kept as they are.
  void AddEntry(const Header& header);

  // Replaces every field of that name by one.
  void Set(HeaderId id, absl::string_view value);
  void Set(absl::string_view lower_name, absl::string_view value);
  void SetReference(HeaderId id, absl::string_view value);
  // Appends to the first field of that name ("old,value"), or adds it.
  void AppendValue(HeaderId id, absl::string_view value, absl::string_view delimiter);

  // The number of fields removed.
  size_t Remove(HeaderId id);
  size_t Remove(absl::string_view lower_name);
  size_t RemovePrefix(absl::string_view lower_prefix);
  template <typename Pred>
  size_t RemoveIf(Pred&& pred) {
    size_t count = 0;
    for (uint32_t i = 0; i < count_; ++i) {
      if (entries_[i].removed || !pred(entries_[i])) continue;
      RemoveAt(i);
      ++count;
    }
    return count;
  }

  bool Has(HeaderId id) const { return Find(id) != nullptr || (IsPseudo(id) && HasPseudo(id)); }
  // The first field of that name, not for pseudo headers; null when there is none.
  const Header* Find(HeaderId id) const;
  const Header* Find(absl::string_view lower_name) const;
  Header* FindMutable(HeaderId id) { return const_cast<Header*>(Find(id)); }
  // The first value, pseudo headers included; nullopt when absent.
  std::optional<absl::string_view> Get(HeaderId id) const;
  std::optional<absl::string_view> Get(absl::string_view lower_name) const;
  // The first value or "".
  absl::string_view Value(HeaderId id) const;
  // All values of that name joined by ","; the text is in the arena when there are several.
  std::optional<absl::string_view> GetJoined(absl::string_view lower_name) const;
  std::optional<absl::string_view> GetJoined(HeaderId id) const;

  // Calls fn(const Header&) for each field in order, pseudo headers not included.
  template <typename Fn>
  void ForEach(Fn&& fn) const {
    for (uint32_t i = 0; i < count_; ++i) {
      if (!entries_[i].removed) fn(static_cast<const Header&>(entries_[i]));
    }
  }
  // Calls fn(const Header&) for each pseudo header that is present, in HTTP/2's usual order.
  template <typename Fn>
  void ForEachPseudo(Fn&& fn) const {
    for (uint16_t i = 0; i < kPseudoHeaderCount; ++i) {
      const auto id = static_cast<HeaderId>(i);
      if (HasPseudo(id)) fn(Header{HeaderName(id), pseudo_[i], id});
    }
  }
  // Calls fn(absl::string_view value) for each field of that name.
  template <typename Fn>
  void ForEachValue(HeaderId id, Fn&& fn) const {
    if (!MayHave(id)) return;
    for (uint32_t i = 0; i < count_; ++i) {
      if (entries_[i].id == id && !entries_[i].removed) fn(entries_[i].value);
    }
  }

  // Fields, pseudo headers included.
  size_t size() const;
  // Bytes of all names and values (the measure of header limits and statistics).
  size_t byte_size() const;

  // An independent copy in `arena`.
  Headers* CopyTo(Arena* arena) const;

 private:
  bool HasPseudo(HeaderId id) const { return !pseudo_[static_cast<uint16_t>(id)].empty(); }
  bool MayHave(HeaderId id) const {
    const auto bit = static_cast<uint16_t>(id);
    return (present_[bit >> 6] >> (bit & 63)) & 1;
  }
  void RemoveAt(uint32_t index);
  void Grow();
  template <typename Same>
  std::optional<absl::string_view> Join(Same&& same) const;
  template <typename Same>
  bool ReplaceFirst(Same&& same, absl::string_view value);

  static constexpr size_t kPresentWords = (static_cast<size_t>(HeaderId::kOther) + 64) / 64;

  Arena* arena_;
  Header* entries_ = nullptr;
  uint32_t count_ = 0;
  uint32_t capacity_ = 0;
  uint32_t removed_ = 0;
  int status_ = 0;
  absl::string_view pseudo_[kPseudoHeaderCount];
  // A bit for each interned name that was ever added: most look-ups answer "absent" from it.
  uint64_t present_[kPresentWords] = {};
};

}  // namespace remora

#endif  // REMORA_FILTERS_API_HEADERS_H_
