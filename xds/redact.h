#ifndef REMORA_XDS_REDACT_H_
#define REMORA_XDS_REDACT_H_

namespace google::protobuf {
class Message;
}

namespace remora::xds {

// Replaces everything that the API marks as sensitive (private keys, passwords, secrets) by
// "[redacted]", inside nested Anys too; of an Any that cannot be decoded only the type is left.
// Before anything of a configuration is shown. Main thread.
void Redact(google::protobuf::Message* message);

}  // namespace remora::xds

#endif  // REMORA_XDS_REDACT_H_
