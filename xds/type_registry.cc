#include "xds/type_registry.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "xds/protos/descriptor_set.h"

namespace remora::xds {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::DynamicMessageFactory;
using google::protobuf::Message;
using google::protobuf::MessageFactory;

absl::string_view TypeName(absl::string_view type_url) {
  const size_t slash = type_url.rfind('/');
  return slash == absl::string_view::npos ? type_url : type_url.substr(slash + 1);
}

std::unique_ptr<Message> NewMessage(absl::string_view type_name) {
  const std::string name(type_name);
  if (const Descriptor* type = DescriptorPool::generated_pool()->FindMessageTypeByName(name)) {
    return std::unique_ptr<Message>(MessageFactory::generated_factory()->GetPrototype(type)->New());
  }
  const Descriptor* type = ApiDescriptors().FindMessageTypeByName(name);
  if (type == nullptr) return nullptr;
  static DynamicMessageFactory* const factory = new DynamicMessageFactory(&ApiDescriptors());
  return std::unique_ptr<Message>(factory->GetPrototype(type)->New());
}

std::string SerializeDeterministically(const Message& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream out(&bytes);
    google::protobuf::io::CodedOutputStream coded(&out);
    coded.SetSerializationDeterministic(true);
    message.SerializePartialToCodedStream(&coded);
  }
  return bytes;
}

}  // namespace remora::xds
