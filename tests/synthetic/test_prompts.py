from pcpo.synthetic import drawing
from pcpo.synthetic.prompts import prompt_sets, write_prompts


def test_training_and_evaluation_prompts_share_nothing_and_cover_all_captions():
    sets = prompt_sets()
    assert sets["hpd"] == sets["pick"] == sets["pick_sfw"]
    assert set(sets["pick"]).isdisjoint(sets["pick_eval"])
    assert set(sets["pick"]) | set(sets["pick_eval"]) == set(drawing.CAPTIONS)
    assert set(sets["coco"]) | set(sets["mjhq"]) == set(sets["pick_eval"])
    assert 0.2 < len(sets["pick_eval"]) / 180 < 0.3


def test_held_out_prompts_cover_every_colour_shape_and_activity():
    scenes = [drawing.parse_caption(text) for text in prompt_sets()["pick_eval"]]
    assert {s.colour for s in scenes} == set(range(5))
    assert {s.shape for s in scenes} == set(range(9))
    assert {s.activity for s in scenes} == {None, 0, 1, 2}


def test_files_have_one_prompt_a_line(tmp_path):
    write_prompts(tmp_path / "prompts")
    for name, prompts in prompt_sets().items():
        text = (tmp_path / "prompts" / f"{name}.txt").read_text(encoding="utf-8")
        assert text == "".join(f"{prompt}\n" for prompt in prompts)
