#ifndef REMORA_PROXY_BASE_GRAVEYARD_H_
#define REMORA_PROXY_BASE_GRAVEYARD_H_

#include <memory>

namespace remora::proxy {

// An object that may be destroyed while one of its own frames is on the stack derives from Mortal
// and is buried instead: it dies at the end of the loop's turn. Burying links, it never allocates.
class Mortal {
 public:
  virtual ~Mortal() = default;

 private:
  friend class Graveyard;
  Mortal* next_buried_ = nullptr;
};

// Threads: the loop's. Objects buried while the graveyard is being emptied die in the same
// emptying.
class Graveyard {
 public:
  Graveyard() = default;
  ~Graveyard() { Empty(); }

  template <typename T>
  void Bury(std::unique_ptr<T> object) {
    Mortal* mortal = object.release();
    if (mortal == nullptr) return;
    mortal->next_buried_ = head_;
    head_ = mortal;
  }

  void Empty() {
    while (head_ != nullptr) {
      Mortal* mortal = head_;
      head_ = mortal->next_buried_;
      delete mortal;
    }
  }

  bool empty() const { return head_ == nullptr; }

 private:
  Mortal* head_ = nullptr;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_BASE_GRAVEYARD_H_
