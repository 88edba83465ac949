// What one client asks for of one resource type, and what it was told last.
// State of the world and delta are two spellings of this one state: both ask
// "what is due?" and differ in how much of it they must repeat.
#ifndef REMORA_XDS_CONTROL_SUBSCRIPTION_H_
#define REMORA_XDS_CONTROL_SUBSCRIPTION_H_

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "xds/control/resources.h"

namespace remora::control {

enum class Spelling { kSotw, kDelta };

// What a response has to say. For kSotw `resources` is the whole set.
struct Due {
  bool any = false;
  std::vector<std::pair<std::string, ResourcePtr>> resources;
  std::vector<std::string> removed;  // kDelta only
};

class Subscription {
 public:
  // `full_set`: an empty list of names means everything, and a state-of-the-
  // world response that leaves a resource out deletes it (CDS and LDS).
  Subscription(Spelling spelling, bool full_set) : spelling_(spelling), full_set_(full_set) {}

  // Whether the client has asked for this type at all.
  bool asked() const { return asked_; }
  // Whether a response is out that the client has not answered.
  bool open() const { return open_; }
  const std::string& nonce() const { return nonce_; }
  size_t size() const { return names_.size(); }
  bool Wants(absl::string_view name) const;

  // kSotw: the list of a request, which replaces the last one.
  void SetNames(const std::vector<std::string>& names);
  // kDelta: what a request adds and takes away. `known` is what the client
  // still has from an earlier stream, name → version; first request only.
  void Change(const std::vector<std::string>& add, const std::vector<std::string>& remove,
              const std::map<std::string, std::string>& known);

  // The client answered the open response, gladly or not: it is not told the
  // same again either way.
  void Close() { open_ = false; }
  // The resources may have changed: look again.
  void Touch() { dirty_ = true; }
  // Tell this one again although it has not changed.
  void Owe(const std::string& name);

  // What has to be said, given the resources of the moment. Also notes when
  // there is nothing, so that the next call is cheap.
  Due FindDue(const ResourceMap& resources);
  bool HasDue(const ResourceMap& resources) { return FindDue(resources).any; }
  // `due` has been said in a response of this nonce. Returns the names whose
  // content the client had not had before.
  std::vector<std::string> Sent(const Due& due, std::string nonce);

 private:
  bool Explicit(const std::string& name) const { return names_.contains(name); }
  ResourceMap Select(const ResourceMap& resources) const;
  Due DueSotw(const ResourceMap& selected) const;
  Due DueDelta(const ResourceMap& selected) const;

  const Spelling spelling_;
  const bool full_set_;
  bool asked_ = false;
  bool wildcard_ = false;
  bool named_once_ = false;  // ever gave a list: an empty one is then "none"
  std::set<std::string, std::less<>> names_;
  std::map<std::string, std::string, std::less<>> told_;  // name → version
  std::set<std::string> owed_;
  bool force_ = false;  // answer even if nothing changed
  bool dirty_ = false;
  bool open_ = false;
  std::string nonce_;
};

}  // namespace remora::control

#endif  // REMORA_XDS_CONTROL_SUBSCRIPTION_H_
