#ifndef REMORA_XDS_TYPE_REGISTRY_H_
#define REMORA_XDS_TYPE_REGISTRY_H_

#include <google/protobuf/message.h>

#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace remora::xds {

// "type.googleapis.com/a.b.C" without the part up to the last slash.
absl::string_view TypeName(absl::string_view type_url);

// An empty message of that type: of its generated class where it is compiled
// in, else a dynamic one of the whole API. Null when nobody knows the type.
std::unique_ptr<google::protobuf::Message> NewMessage(absl::string_view type_name);

// Equal messages become equal bytes (maps in the order of their keys).
std::string SerializeDeterministically(const google::protobuf::Message& message);

}  // namespace remora::xds

#endif  // REMORA_XDS_TYPE_REGISTRY_H_
