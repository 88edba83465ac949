#ifndef REMORA_XDS_HEADER_MUTATION_H_
#define REMORA_XDS_HEADER_MUTATION_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "xds/parse_context.h"

namespace envoy::config::core::v3 {
class HeaderValueOption;
}
namespace google::protobuf {
template <typename T>
class RepeatedPtrField;
}

namespace remora {
class Formatter;
}

namespace remora::xds {

enum class AppendAction { kAppendOrAdd, kAddIfAbsent, kOverwriteOrAdd, kOverwriteIfExists };

// One header to add. With a null `formatter` the value is `text` as it is.
struct HeaderAddition {
  std::string name;  // lower-case
  std::string text;  // with %% already read as % when there is no formatter
  std::shared_ptr<const Formatter> formatter;
  AppendAction action = AppendAction::kAppendOrAdd;
  bool keep_empty = false;  // add the header even when its value comes out empty
};

// Headers to remove and to add, of one level and one direction. Removals come first.
struct HeaderMutations {
  std::vector<HeaderAddition> add;
  std::vector<std::string> remove;  // lower-case names
  bool empty() const { return add.empty() && remove.empty(); }
};

using HeaderValueOptions =
    google::protobuf::RepeatedPtrField<envoy::config::core::v3::HeaderValueOption>;

// `field` names the list in errors.
std::vector<HeaderAddition> ParseHeaderAdditions(absl::string_view field,
                                                 const HeaderValueOptions& list,
                                                 ParseContext& context);
HeaderMutations ParseHeaderMutations(absl::string_view add_field, const HeaderValueOptions& add,
                                     absl::string_view remove_field,
                                     const google::protobuf::RepeatedPtrField<std::string>& remove,
                                     ParseContext& context);

}  // namespace remora::xds

#endif  // REMORA_XDS_HEADER_MUTATION_H_
