// Printing of messages; see config_dump.h.

#include <memory>

#include "google/protobuf/message.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/type_resolver.h"
#include "google/protobuf/util/type_resolver_util.h"
#include "xds/config_dump.h"
#include "xds/protos/descriptor_set.h"

namespace remora::xds {

std::string ToJson(const google::protobuf::Message& message, bool always_print_primitives) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = always_print_primitives;
  std::string out;
  if (google::protobuf::util::MessageToJsonString(message, &out, options).ok()) return out;
  // An Any of a type that is not compiled in: print by the descriptors of the whole API.
  const std::unique_ptr<google::protobuf::util::TypeResolver> resolver(
      google::protobuf::util::NewTypeResolverForDescriptorPool("type.googleapis.com",
                                                               &ApiDescriptors()));
  out.clear();
  const auto status = google::protobuf::util::BinaryToJsonString(
      resolver.get(), "type.googleapis.com/" + message.GetDescriptor()->full_name(),
      message.SerializeAsString(), &out, options);
  return status.ok() ? out : std::string("{}");
}

}  // namespace remora::xds
