# Who this machine is, nobody knows as yet: a script made for one node reports at these places.
begin() { :; }
step() { :; }
finish() { :; }
hand_over() { return 1; }
