#ifndef REMORA_FILTERS_HEADER_EDITS_H_
#define REMORA_FILTERS_HEADER_EDITS_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "filters/api/headers.h"
#include "filters/api/stream_info.h"
#include "filters/formatter.h"
#include "filters/matchers.h"

namespace envoy::config::common::mutation_rules::v3 {
class HeaderMutation;
}
namespace envoy::config::core::v3 {
class HeaderValueOption;
}
namespace google::protobuf {
template <typename T>
class RepeatedPtrField;
}

namespace remora {

// A list of changes to headers that a filter's configuration asks for, done one after the other.
//
// Threads: const after Parse, shared.
class HeaderEdits {
 public:
  using Mutations =
      google::protobuf::RepeatedPtrField<envoy::config::common::mutation_rules::v3::HeaderMutation>;
  using Options = google::protobuf::RepeatedPtrField<envoy::config::core::v3::HeaderValueOption>;

  HeaderEdits() = default;
  static absl::StatusOr<HeaderEdits> Parse(const Mutations& list);
  static absl::StatusOr<HeaderEdits> Parse(const Options& list);

  bool empty() const { return edits_.empty(); }
  // Values that are templates are worked out from `info`.
  void Apply(const StreamInfo& info, Headers& headers) const;

 private:
  enum class Kind {
    kAppend,
    kAddIfAbsent,
    kOverwrite,
    kOverwriteIfExists,
    kRemove,
    kRemoveMatching
  };
  struct Edit {
    Kind kind = Kind::kAppend;
    std::string name;
    std::shared_ptr<const Formatter> value;
    bool keep_empty = false;
    std::optional<StringMatcher> names;  // kRemoveMatching
  };
  absl::Status Add(const envoy::config::core::v3::HeaderValueOption& option);

  std::vector<Edit> edits_;
};

}  // namespace remora

#endif  // REMORA_FILTERS_HEADER_EDITS_H_
