#ifndef REMORA_XDS_PARSE_CONTEXT_H_
#define REMORA_XDS_PARSE_CONTEXT_H_

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace remora {
class Runtime;
}

namespace remora::xds {

class SourceMap;

// One thing that is wrong, or worth saying, about a configuration.
struct Finding {
  std::string path;     // "static_resources.clusters[0].lb_policy"; empty for the whole
  std::string message;  // without the path
};

// What a parser needs besides its proto, and where it leaves everything it finds: errors are
// collected, not returned at the first, so that one run names them all.
//
// A parser enters fields by Scope, so that the path is always at hand:
//
//   ParseContext::Scope scope(context, "retry_policy");
//   if (...) context.Error("num_retries must ...");
//
// Threads: one context belongs to one thread at a time; it is made for one resource or one file.
class ParseContext {
 public:
  enum class Origin {
    kStatic,   // bootstrap: unknown fields are errors
    kDynamic,  // xDS or file subscription: unknown fields are warnings
  };

  explicit ParseContext(Origin origin = Origin::kStatic) : origin_(origin) {}
  ParseContext(const ParseContext&) = delete;
  ParseContext& operator=(const ParseContext&) = delete;

  // Adds one component to the path for as long as it lives.
  class Scope {
   public:
    Scope(ParseContext& context, absl::string_view field);
    Scope(ParseContext& context, absl::string_view field, size_t index);           // field[index]
    Scope(ParseContext& context, absl::string_view field, absl::string_view key);  // field["key"]
    ~Scope() { context_.path_.resize(length_); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    ParseContext& context_;
    size_t length_;
  };

  void Error(absl::string_view message) { Add(errors_, {}, message); }
  void ErrorAt(absl::string_view field, absl::string_view message) { Add(errors_, field, message); }
  // An absl::Status of a lower layer, as an error at the current path. OK is ignored.
  void Error(const absl::Status& status);
  void Warn(absl::string_view message) { Add(warnings_, {}, message); }
  // A known field that is set and does nothing yet: warned about by name.
  void NotHonoured(absl::string_view field);

  bool ok() const { return errors_.empty(); }
  size_t error_count() const { return errors_.size(); }
  const std::vector<Finding>& errors() const { return errors_; }
  // Whether an error at `path` or below it is known already: what would only
  // follow from that one need not be said.
  bool HasErrorWithin(absl::string_view path) const;
  const std::vector<Finding>& warnings() const { return warnings_; }

  // OK, or InvalidArgument with every error on its own line, each with file and line when known.
  absl::Status status() const;
  // As status(), for the errors that were added after the first `since`.
  absl::Status StatusSince(size_t since) const;
  std::string Describe(const Finding& finding) const;

  const std::string& path() const { return path_; }
  Origin origin() const { return origin_; }
  bool dynamic() const { return origin_ == Origin::kDynamic; }

  // Where paths lie in a file; may be null. Must outlive the context.
  void set_source(const SourceMap* source) { source_ = source; }
  const SourceMap* source() const { return source_; }
  // --allow-unknown-static-fields, --reject-unknown-dynamic-fields: overrules the origin's rule.
  void set_unknown_fields_are_errors(bool value) { unknown_fields_are_errors_ = value ? 1 : 0; }
  bool unknown_fields_are_errors() const {
    return unknown_fields_are_errors_ < 0 ? !dynamic() : unknown_fields_are_errors_ == 1;
  }
  // The runtime layers known at load (keys such as re2.max_program_size.error_level); may be null.
  void set_runtime(std::shared_ptr<const Runtime> runtime) { runtime_ = std::move(runtime); }
  const Runtime* runtime() const { return runtime_.get(); }
  // From here on, an error at a path that has one already is not added: it only
  // follows from the first. Called between reading a text and parsing what it
  // says.
  void SealSyntaxErrors() { sealed_ = errors_.size(); }

  // Whether we know who we are: without, nothing can be subscribed to.
  void set_node_known(bool known) { node_known_ = known; }
  bool node_known() const { return node_known_; }
  // Names that may be referred to: clusters of static routes, static secrets.
  // Null: not checked here. Must outlive the context.
  void set_known_clusters(const absl::flat_hash_set<std::string>* names) {
    known_clusters_ = names;
  }
  const absl::flat_hash_set<std::string>* known_clusters() const { return known_clusters_; }
  void set_known_secrets(const absl::flat_hash_set<std::string>* names) { known_secrets_ = names; }
  const absl::flat_hash_set<std::string>* known_secrets() const { return known_secrets_; }
  // How many unknown fields were seen and let pass (server.dynamic_unknown_fields).
  size_t unknown_field_count() const { return unknown_field_count_; }
  void CountUnknownField() { ++unknown_field_count_; }

 private:
  friend class Scope;
  void Add(std::vector<Finding>& list, absl::string_view field, absl::string_view message);

  Origin origin_;
  int unknown_fields_are_errors_ = -1;
  size_t unknown_field_count_ = 0;
  size_t sealed_ = 0;
  bool node_known_ = true;
  std::string path_;
  std::vector<Finding> errors_;
  std::vector<Finding> warnings_;
  const SourceMap* source_ = nullptr;
  const absl::flat_hash_set<std::string>* known_clusters_ = nullptr;
  const absl::flat_hash_set<std::string>* known_secrets_ = nullptr;
  std::shared_ptr<const Runtime> runtime_;
};

// The payload of ParseContext's statuses that holds their messages without places.
inline constexpr char kPlainText[] = "remora/plain-text";
// What a status says, without file, line and field path: as Envoy would put it.
std::string PlainText(const absl::Status& status);

}  // namespace remora::xds

#endif  // REMORA_XDS_PARSE_CONTEXT_H_
