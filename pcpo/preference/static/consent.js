// Which kind of device this is: nothing finer is told.
"use strict";
const coarse = matchMedia("(pointer: coarse)").matches;
const narrow = Math.min(screen.width, screen.height) < 600;
document.getElementById("device").value = coarse ? (narrow ? "phone" : "tablet") : "desktop";
document.getElementById("begin").disabled = false;
