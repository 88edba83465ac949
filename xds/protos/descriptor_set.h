#ifndef REMORA_XDS_PROTOS_DESCRIPTOR_SET_H_
#define REMORA_XDS_PROTOS_DESCRIPTOR_SET_H_

#include <google/protobuf/descriptor.h>

namespace remora::xds {

// Every message of the Envoy v3 API, also of the extensions that are not
// compiled in: with a DynamicMessageFactory it parses, validates and prints any
// `Any`, so that a config dump is never opaque and a field that is not
// honoured can be named.
//
// Built on the first call, which costs about 90 ms and 20 MiB; so never call it
// at start, and not for a message whose generated class will do. Fields have
// the API's own names here, where generated classes append an underscore to
// those that are C++ keywords. Any thread may call it; lives for the process.
const google::protobuf::DescriptorPool& ApiDescriptors();

}  // namespace remora::xds

#endif  // REMORA_XDS_PROTOS_DESCRIPTOR_SET_H_
